"""What every snapshot store can do, and the names of what it keeps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from quoracy.errors import StoreError, UsageError

CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object whose arrival in the store was verified.

    Args:
        key: Its name in the store, without the store's own prefix.
        size: Bytes.
        sha256: Digest of its content, lower-case hexadecimal.
        url: Where it lies, without credentials.
    """

    key: str
    size: int
    sha256: str
    url: str


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object as a listing shows it: `size` in bytes, `modified` in UTC by the store's clock."""

    key: str
    size: int
    modified: datetime


class SnapshotStore(Protocol):
    """A place that keeps snapshots; every failure is a `StoreError`.

    An object appears under its key when it is complete, or not at all.
    """

    def put(self, key: str, chunks: Iterable[bytes], *, sha256: str | None = None) -> StoredObject:
        """Store the chunks under the key, replacing what was there, and verify what was stored.

        Args:
            key: Slash-separated name, see `check_key`.
            chunks: The content; never held in memory as a whole.
            sha256: The expected digest; other content is refused and not stored.
        """

    def get(self, key: str) -> Iterator[bytes]:
        """Yield the content; errors are raised while iterating, damage after the last chunk."""

    def list(self, prefix: str = "") -> list[ListedObject]:
        """Return all objects whose key starts with the prefix, sorted by key."""

    def delete(self, key: str) -> None:
        """Remove the object; one that is not there is no error (S3 does not tell either)."""

    def url(self, key: str) -> str:
        """Return where the object lies or would lie, without credentials."""


def check_key(key: str) -> str:
    """Return the key; it may not leave the store nor name one of its hidden files.

    Raises:
        UsageError: It is empty, absolute, or has an empty part or one that starts with a dot.
    """
    parts = key.split("/")
    printable = key.isprintable() and "\\" not in key
    if not printable or any(not part or part.startswith(".") for part in parts):
        raise UsageError(
            f"{key!r} cannot be the key of a snapshot",
            next_step="use names separated by single slashes, none of them starting with a dot",
        )
    return key


def check_digest(key: str, *, expected: str | None, found: str) -> None:
    """Refuse content that is not what was announced.

    Raises:
        StoreError: `expected` is given and differs from `found`.
    """
    if expected is not None and expected.lower() != found:
        raise StoreError(
            f"the content has sha256 {found}, expected {expected}",
            where=key,
            next_step="the data was damaged on its way here; take the snapshot again",
        )


def source_chunks(key: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the chunks; a source that cannot be read is not blamed on the store.

    Raises:
        StoreError: Reading the source met an error of the operating system.
    """
    try:
        yield from chunks
    except OSError as error:
        raise StoreError(
            f"the content to store could not be read to its end: {error}",
            where=key,
            next_step="nothing was stored; look at where the content comes from and try again",
        ) from error
