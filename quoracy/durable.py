"""Files that are whole or absent: written beside their place, synced, and renamed into it.

A process may be killed at any point. What it leaves then is a hidden `.part` file, which the next
writer in the same folder removes; a file with a final name is always complete.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from quoracy.aside import pause

PART_SUFFIX = ".part"
# A certificate is made under a lock in milliseconds, and its host waits; dependencies take minutes.
_TRY_AGAIN_S = 0.02


@contextlib.contextmanager
def staged_file(path: Path, *, mode: int, staging: Path | None = None) -> Iterator[IO[bytes]]:
    """Yield a file that takes the place of `path` when the block ends, and vanishes when it raises.

    Args:
        path: The final name; its folder must exist.
        mode: Permissions of the file, independent of the umask.
        staging: Folder of the unfinished file, on the file system of `path`; default its folder.
    """
    folder = staging or path.parent
    remove_leftovers(folder)
    with _locked_part(folder) as part:
        try:
            os.fchmod(part.fileno(), mode)
            yield part
            part.flush()
            os.fsync(part.fileno())
            Path(part.name).rename(path)
        except BaseException:
            Path(part.name).unlink(missing_ok=True)
            raise
    sync_directory(path.parent)


def write_file(path: Path, content: bytes, *, mode: int) -> None:
    """Give `path` this content and these permissions, all at once."""
    with staged_file(path, mode=mode) as part:
        part.write(content)


def made_once(path: Path, make: Callable[[], bytes], *, mode: int) -> bytes:
    """The content of `path`; it is made when it is missing, once, however many ask at the same time."""
    if not path.exists():
        remove_leftovers(path.parent)
        with _locked_part(path.parent) as part:
            try:
                os.fchmod(part.fileno(), mode)
                part.write(make())
                part.flush()
                os.fsync(part.fileno())
                with contextlib.suppress(FileExistsError):  # another process was faster
                    os.link(part.name, path)
            finally:
                Path(part.name).unlink(missing_ok=True)
        sync_directory(path.parent)
    return path.read_bytes()


def make_directory(path: Path, *, mode: int = 0o700) -> None:
    """Create `path` and its missing parents with `mode`, so that they outlive a power cut."""
    if path.is_dir():
        return
    make_directory(path.parent, mode=mode)
    with contextlib.suppress(
        FileExistsError
    ):  # another process was faster: what is wanted is there
        path.mkdir(mode=mode)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make renames and removals in `path` durable (rename(2) alone is not, see fsync(2))."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file at `path`; waits for its holder, whose death releases it (flock(2))."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not _taken(descriptor):
            pause(_TRY_AGAIN_S)
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    """Whether the lock was free; it is held from now on."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def remove_leftovers(folder: Path) -> None:
    """Remove the unfinished files in `folder` whose writers are gone (their lock is free)."""
    for path in folder.glob(f".*{PART_SUFFIX}"):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:  # its writer finished, or another process removed it
            continue
        try:
            if _taken(descriptor):
                path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _locked_part(folder: Path) -> Iterator[IO[bytes]]:
    """Yield a new locked file; between its creation and its lock a sweep may take it: try again."""
    while True:
        with tempfile.NamedTemporaryFile(
            "w+b", dir=folder, prefix=".", suffix=PART_SUFFIX, delete=False
        ) as part:
            fcntl.flock(part.fileno(), fcntl.LOCK_EX)
            if os.fstat(part.fileno()).st_nlink:
                yield part
                return
