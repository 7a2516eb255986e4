"""Reading a file of the code so that no mixture of two of its versions is taken for one."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from quoracy.errors import QuoracyError, UsageError

CHUNK_BYTES = 64 * 1024

# Gone, or something else stands there by now: a link, a socket, a file where a directory was.
_REPLACED = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EINVAL})


def shown(path: str | bytes) -> str:
    """A path as it can stand in one line of a message."""
    if isinstance(path, bytes):
        path = path.decode("utf-8", "surrogateescape")
    return path if path.isprintable() else repr(path)[1:-1]


def changed_meanwhile(path: str | bytes) -> QuoracyError:
    """What is raised when a file is another one than a moment ago."""
    return QuoracyError(
        "the file was changed while it was read; nothing of the service was touched",
        where=shown(path),
        next_step="run again once nothing writes there any more",
    )


def unreadable(path: str | bytes, error: OSError) -> QuoracyError:
    """What is raised for something that was seen in the tree and cannot be read."""
    if error.errno in _REPLACED:
        return changed_meanwhile(path)
    return UsageError(
        f"it cannot be read: {error.strerror or error}",
        where=shown(path),
        next_step="make it readable, or name it in .deployignore",
    )


@contextmanager
def opened(root: bytes, path: bytes) -> Iterator[tuple[int, os.stat_result]]:
    """A descriptor of a regular file and what it was when it was opened.

    Raises:
        QuoracyError: It is no regular file any more, or was written to before it was closed.
        UsageError: It cannot be read.
    """
    # A pipe put in its place must not hang, nor a link lead elsewhere.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(os.path.join(root, path), flags)  # noqa: PTH118  # any bytes
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise changed_meanwhile(path)
        yield descriptor, before
        after = os.fstat(descriptor)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise changed_meanwhile(path)
    except OSError as error:
        raise unreadable(path, error) from error
    finally:
        os.close(descriptor)


def chunks(descriptor: int) -> Iterator[bytes]:
    """What is left of an open file."""
    while chunk := os.read(descriptor, CHUNK_BYTES):
        yield chunk
