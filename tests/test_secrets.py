from __future__ import annotations

from pathlib import Path

import pytest

from quoracy.errors import UsageError
from quoracy.secrets import DEFAULT, resolve


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("hunter2\n")
    file.chmod(0o600)
    return file


def test_a_variable_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUORACY_TEST_SECRET", "hunter2 with spaces ")
    assert resolve("env:QUORACY_TEST_SECRET") == "hunter2 with spaces "


@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_that_is_not_set(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("QUORACY_TEST_SECRET", raising=False)
    if value is not None:
        monkeypatch.setenv("QUORACY_TEST_SECRET", value)
    with pytest.raises(UsageError, match="not set or empty") as caught:
        resolve("env:QUORACY_TEST_SECRET")
    assert caught.value.where == "env:QUORACY_TEST_SECRET"


@pytest.mark.parametrize(
    ("content", "secret"),
    [("hunter2", "hunter2"), ("hunter2\r\n", "hunter2"), (" a\nb\n\n", " a\nb\n")],
)
def test_a_file_without_its_last_line_break(secret_file: Path, content: str, secret: str) -> None:
    secret_file.write_bytes(content.encode())
    assert resolve(f"file:{secret_file}") == secret


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o640])
def test_a_file_that_owner_or_group_may_read(secret_file: Path, mode: int) -> None:
    secret_file.chmod(mode)
    assert resolve(f"file:{secret_file}") == "hunter2"


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o602])
def test_a_file_that_everyone_has_access_to_is_refused(secret_file: Path, mode: int) -> None:
    secret_file.chmod(mode)
    with pytest.raises(UsageError, match=f"everyone .*{mode:04o}") as caught:
        resolve(f"file:{secret_file}")
    assert caught.value.next_step == f"chmod 600 {secret_file}"
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\n", b"hunter2\xff\xfe"])
def test_a_file_that_holds_no_text_is_refused(secret_file: Path, content: bytes) -> None:
    secret_file.write_bytes(content)
    with pytest.raises(UsageError, match=r"empty|UTF-8") as caught:
        resolve(f"file:{secret_file}")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file") as caught:
        resolve(f"file:{tmp_path}/none")
    assert caught.value.where == f"file:{tmp_path}/none"
    with pytest.raises(UsageError, match="absolute"):
        resolve("file:token")


def test_a_block_needs_a_flow() -> None:
    with pytest.raises(UsageError, match="can only be read by a flow"):
        resolve("block:s3-credentials")
    blocks = {**DEFAULT, "block": lambda name: f"secret of {name}"}
    assert resolve("block:s3-credentials", blocks) == "secret of s3-credentials"


@pytest.mark.parametrize("text", ["hunter2", "hunter2:rest", ":hunter2", "env:", "block:", ""])
def test_what_is_no_reference_is_not_repeated(text: str) -> None:
    with pytest.raises(UsageError, match="not a reference") as caught:
        resolve(text)
    assert "hunter2" not in str(caught.value)
    assert caught.value.next_step == "write env:NAME, file:/path or block:NAME"
