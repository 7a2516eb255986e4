from __future__ import annotations

import pytest
from prefect.client.orchestration import get_client
from pydantic import SecretStr

from blocks.secret import QuoracySecret, load_secret
from quoracy.errors import UsageError

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]


def test_a_secret_is_loaded_by_its_name_and_shown_nowhere() -> None:
    block = QuoracySecret(value=SecretStr("s3cr3t-in-a-block"))
    block.save("bucket", overwrite=True)
    assert load_secret("bucket") == "s3cr3t-in-a-block"
    assert "s3cr3t" not in repr(block)
    with get_client(sync_client=True) as client:
        document = client.read_block_document_by_name("bucket", "quoracy-secret", False)
    assert "s3cr3t" not in document.model_dump_json()


def test_a_block_that_is_missing_is_told_with_what_to_do() -> None:
    with pytest.raises(UsageError, match="no such block") as caught:
        load_secret("nowhere")
    assert caught.value.where == "block:nowhere"
    assert "named nowhere" in caught.value.next_step


def test_the_slug_never_changes() -> None:
    # Documents that users have saved are found by it.
    assert QuoracySecret._block_type_slug == "quoracy-secret"
