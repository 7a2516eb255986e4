"""A snapshot store in a local directory."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from quoracy.durable import make_directory, staged_file, sync_directory
from quoracy.errors import StoreError
from quoracy.stores.store import (
    CHUNK_BYTES,
    ListedObject,
    StoredObject,
    check_digest,
    check_key,
    source_chunks,
)

FILE_MODE = 0o600  # a snapshot holds every secret of the cluster


class DirectoryStore:
    """Keeps each object as a file of mode 0600 below `path`, which is created when needed.

    Unfinished files lie hidden in `path` itself, so that the next `put` finds and removes what a
    killed one left, whatever its key.
    """

    def __init__(self, path: Path) -> None:
        self._root = path.absolute()

    def put(self, key: str, chunks: Iterable[bytes], *, sha256: str | None = None) -> StoredObject:
        """Write, sync and read back the content, then rename it to its key."""
        target = self._file(key)
        with _store_errors(self.url(key)):
            make_directory(target.parent)
            with staged_file(target, mode=FILE_MODE, staging=self._root) as part:
                size, found = _write(part, source_chunks(key, chunks))
                check_digest(key, expected=sha256, found=found)
                _verify(part, key, size=size, digest=found)
        return StoredObject(key=key, size=size, sha256=found, url=self.url(key))

    def get(self, key: str) -> Iterator[bytes]:
        """Yield the file in chunks of 1 MiB."""
        with _store_errors(self.url(key)), self._file(key).open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def list(self, prefix: str = "") -> list[ListedObject]:
        """Walk the directory; hidden entries are not objects. A directory not there is empty."""
        if not self._root.is_dir():
            return []
        with _store_errors(str(self._root)):
            return sorted(self._walk(prefix), key=lambda listed: listed.key)

    def delete(self, key: str) -> None:
        """Remove the file and sync its folder; folders stay."""
        target = self._file(key)
        with _store_errors(self.url(key)):
            if target.exists():
                target.unlink(missing_ok=True)
                sync_directory(target.parent)

    def url(self, key: str) -> str:
        """Return the file's `file:` URL."""
        return self._file(key).as_uri()

    def _file(self, key: str) -> Path:
        return self._root / check_key(key)

    def _walk(self, prefix: str) -> Iterator[ListedObject]:
        for folder, folders, names in os.walk(self._root, onerror=_raise):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                path = Path(folder, name)
                key = path.relative_to(self._root).as_posix()
                if not name.startswith(".") and key.startswith(prefix):
                    with contextlib.suppress(FileNotFoundError):  # deleted since the walk saw it
                        yield _listed(key, path.stat())


def _listed(key: str, status: os.stat_result) -> ListedObject:
    modified = datetime.fromtimestamp(status.st_mtime, UTC)
    return ListedObject(key=key, size=status.st_size, modified=modified)


def _raise(error: OSError) -> None:
    raise error  # os.walk would skip a folder that it cannot read: a listing must not lack objects


def _write(part: IO[bytes], chunks: Iterable[bytes]) -> tuple[int, str]:
    digest = hashlib.sha256()
    for chunk in chunks:
        part.write(chunk)
        digest.update(chunk)
    part.flush()
    os.fsync(part.fileno())
    return part.tell(), digest.hexdigest()


def _verify(part: IO[bytes], key: str, *, size: int, digest: str) -> None:
    """Read back what lies on the disk; the page cache is dropped first, else it is what answers."""
    os.posix_fadvise(part.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    part.seek(0)
    again = hashlib.sha256()
    while chunk := part.read(CHUNK_BYTES):
        again.update(chunk)
    found = again.hexdigest()
    if (part.tell(), found) != (size, digest):
        raise StoreError(
            f"the disk gives back {part.tell()} bytes with sha256 {found}, "
            f"written were {size} with {digest}",
            where=key,
            next_step="check the disk and its file system; keep backups elsewhere until then",
        )


@contextlib.contextmanager
def _store_errors(where: str) -> Iterator[None]:
    """Turn what the operating system says into a StoreError with advice."""
    try:
        yield
    except FileNotFoundError as error:
        raise StoreError(
            "there is no such object", where=where, next_step="list the snapshots there are"
        ) from error
    except OSError as error:
        raise StoreError(
            f"the file cannot be used: {error.strerror or error}",
            where=where,
            next_step="check permissions and free space of the backup directory",
        ) from error
