"""Files that hold a spec, read as text; of one that is too large no more is read than tells so."""

from __future__ import annotations

import stat
from pathlib import Path

from quoracy.errors import UsageError
from quoracy.specs.document import MAX_BYTES, FileKind, too_large


def read_spec(file: Path, kind: FileKind) -> str:
    """The file's text.

    Raises:
        UsageError: It cannot be read, is too large or no UTF-8 text.
    """
    try:
        if stat.S_ISFIFO(file.stat().st_mode):
            raise _unreadable(file, "it is a pipe", kind)  # opening one waits for its writer
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise _unreadable(file, str(error.strerror), kind) from None
    if len(content) > MAX_BYTES:
        raise too_large(str(file), kind)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"cannot be read: line {line} is not UTF-8 text",
            where=str(file),
            next_step="save the file as UTF-8",
        ) from None


def _unreadable(file: Path, why: str, kind: FileKind) -> UsageError:
    return UsageError(
        f"cannot be read: {why}",
        where=str(file),
        next_step=f"name a {kind.file} that you may read",
    )
