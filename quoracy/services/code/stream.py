"""A part of a service's code as a tar that is the same whenever its files are the same."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from quoracy.errors import QuoracyError
from quoracy.services.code.read import CHUNK_BYTES, changed_meanwhile, chunks, opened
from quoracy.services.manifest import Entry

DELETED = ".quoracy/deleted"

_EPOCH = 946_684_800  # 2000-01-01 UTC: neither "never" nor in the future for any host's clock
_END = bytes(2 * tarfile.BLOCKSIZE)
_TYPES = {"file": tarfile.REGTYPE, "link": tarfile.SYMTYPE, "dir": tarfile.DIRTYPE}


def release_stream(
    source: Path,
    changed: tuple[Entry, ...],
    *,
    deleted: tuple[str, ...] = (),
    extra: Mapping[str, tuple[bytes, int]] | None = None,
) -> Iterator[bytes]:
    """Yield a GNU tar in chunks of at most 64 KiB, whatever the size of the files.

    After an error the tar ends inside a member, which GNU tar refuses ("Unexpected EOF"). A connection
    that breaks just between two members leaves what GNU tar 1.34 takes for whole, so a receiver looks
    for the last member of `extra` before it goes on.

    Args:
        source: The tree that was scanned.
        changed: What of it is sent, as `difference` says.
        deleted: Sent as the first member, `.quoracy/deleted`, when there is any: a receiver that has
            read one block and this list, to the next full block, removes what it names before it
            unpacks the rest. tar by itself cannot make a directory of a file.
        extra: Content and permissions of small files that are not in the tree, by their path; they
            are the last members, in this order.

    Raises:
        QuoracyError: A file is not what its entry says.
        UsageError: A file cannot be read.
    """
    pending = bytearray()
    try:
        for piece in _members(source, changed, deleted, extra or {}):
            pending += piece
            while len(pending) >= CHUNK_BYTES:
                yield bytes(pending[:CHUNK_BYTES])
                del pending[:CHUNK_BYTES]
    except QuoracyError:
        # Up to where it is wrong: less would be a cut at any place, also between two members.
        yield bytes(pending)
        raise
    yield bytes(pending)


def stream_size(entries: Iterable[Entry]) -> int:
    """About how many bytes the tar of these entries has."""
    return sum(entry.size + 2 * tarfile.BLOCKSIZE for entry in entries)


def deleted_list(paths: Iterable[str]) -> bytes:
    """Paths as `xargs -0` reads them."""
    return b"".join(_raw(path) + b"\0" for path in paths)


def _members(
    source: Path,
    entries: tuple[Entry, ...],
    deleted: tuple[str, ...],
    extra: Mapping[str, tuple[bytes, int]],
) -> Iterator[bytes]:
    if deleted:
        yield from _made(DELETED, deleted_list(deleted), 0o600)
    for entry in sorted(entries, key=lambda entry: entry.path):
        yield _header(entry)
        if entry.kind == "file":
            yield from _unless_changed(source, entry)
    for path, (content, mode) in extra.items():
        yield from _made(path, content, mode)
    yield _END


def _unless_changed(source: Path, entry: Entry) -> Iterator[bytes]:
    try:
        yield from _content(source, entry)
    except QuoracyError:
        if not entry.size:
            # An empty file that is wrong is whole for GNU tar, this one is not.
            yield _header(replace(entry, size=1))
        raise


def _content(source: Path, entry: Entry) -> Iterator[bytes]:
    """The file's bytes; the last of them only once they are known to be the right ones."""
    digest = hashlib.sha256()
    left = entry.size
    held = b""
    with opened(bytes(source), _raw(entry.path)) as (descriptor, status):
        if status.st_size != left:
            raise changed_meanwhile(entry.path)
        for chunk in chunks(descriptor):
            left -= len(chunk)
            if left < 0:
                break
            digest.update(chunk)
            yield held
            held = chunk
    if left or digest.hexdigest() != entry.content:
        raise changed_meanwhile(entry.path)
    yield held + _padding(entry.size)


def _made(path: str, content: bytes, mode: int) -> Iterator[bytes]:
    member = _member(path, len(content), mode)
    yield _written(member)
    yield content + _padding(len(content))


def _header(entry: Entry) -> bytes:
    runs = entry.executable or entry.kind != "file"
    member = _member(entry.path, entry.size, 0o755 if runs else 0o644)
    member.type = _TYPES[entry.kind]
    if entry.kind == "link":
        member.linkname = entry.content
    if entry.kind == "file":
        # Dependencies have no times of their own: one per content is the same on all hosts, and an ETag
        # made of time and size shows that a file of the same size is another one.
        member.mtime = entry.time or _EPOCH + int(entry.content[:7], 16)
    return _written(member)


def _member(path: str, size: int, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(path)
    member.size, member.mode, member.mtime = size, mode, _EPOCH
    return member


def _written(member: tarfile.TarInfo) -> bytes:
    return member.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def _raw(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")
