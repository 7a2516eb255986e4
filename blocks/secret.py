"""A block that holds one secret; a spec refers to it as `block:NAME`."""

from __future__ import annotations

from typing import cast

from prefect.blocks.core import Block
from pydantic import Field, SecretStr

from quoracy.errors import UsageError


class QuoracySecret(Block):
    """One secret, for example the secret key of a snapshot bucket."""

    _block_type_name = "Quoracy secret"
    _block_type_slug = "quoracy-secret"
    _description = "One secret that cluster specs refer to as block:NAME."

    value: SecretStr = Field(description="The secret itself; shown nowhere.")


def load_secret(name: str) -> str:
    """The secret in the block of that name.

    Raises:
        UsageError: There is no such block.
    """
    try:
        # Prefect types `load` as if it might be a coroutine; in synchronous code it is the block.
        block = cast(QuoracySecret, QuoracySecret.load(name))
    except ValueError:
        raise UsageError(
            "there is no such block",
            where=f"block:{name}",
            next_step=f"create a block of the type Quoracy secret named {name} in the Prefect UI",
        ) from None
    return block.value.get_secret_value()
