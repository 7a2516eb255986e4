"""What a service's code consists of, read from its directory on the controller."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from quoracy.errors import UsageError
from quoracy.services.code.ignore import Ignore, never_shipped
from quoracy.services.code.links import check_links
from quoracy.services.code.read import changed_meanwhile, chunks, opened, shown, unreadable
from quoracy.services.manifest import Entry, Manifest


@dataclass(frozen=True, slots=True)
class Scanned:
    """A tree and what it consisted of when it was read.

    Attributes:
        source: Its directory; a stream of it reads the files again.
    """

    source: Path
    manifest: Manifest


def scan(source: Path, *, ignoring: bool = True) -> Scanned:
    """Read the whole tree: what is ignored is left out, and nothing else.

    Args:
        source: Its directory; a link to one will do.
        ignoring: Without it nothing at all is left out, as of dependencies and what a build made.

    Raises:
        UsageError: There is no such directory or nothing in it to ship, or something in it cannot be
            shipped: a device, a link that leads outside, a file that cannot be read, a lock file
            that the ignore file leaves out.
        QuoracyError: A file was changed while it was read.
    """
    root = _root(source)
    ignore = Ignore.of(source) if ignoring else None
    entries = [_entry(root, found) for found in walk(root, ignore)]
    if ignoring and all(entry.kind == "dir" for entry in entries):
        raise UsageError(
            "there is nothing to ship: the directory is empty, or all in it is ignored",
            where=shown(str(source)),
            next_step="correct local_app_path in service-config.yml, or .deployignore",
        )
    check_links({entry.path: entry.content for entry in entries if entry.kind == "link"})
    return Scanned(source, Manifest.of(entries))


def _root(source: Path) -> bytes:
    try:
        is_directory = stat.S_ISDIR(source.stat().st_mode)
        problem = "" if is_directory else "it is not a directory"
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or str(error)
    if problem:
        raise UsageError(
            f"the code of the service cannot be read: {problem}",
            where=shown(str(source)),
            next_step="correct local_app_path in service-config.yml",
        )
    return os.fsencode(source)


@dataclass(frozen=True, slots=True)
class Found:
    """What a walk has met: its path from the root, and its mode."""

    path: bytes
    mode: int


def walk(root: bytes, ignore: Ignore | None) -> Iterator[Found]:
    """Yield files, links and what else there is, and directories that are shipped empty."""
    waiting = [b""]
    while waiting:
        directory = waiting.pop()
        bare = True
        for path, mode in _listed(root, directory):
            is_directory = stat.S_ISDIR(mode)
            if ignore and never_shipped(path, directory=is_directory):
                # A package that is gone but for its byte code is no empty directory.
                bare = False
            elif not (ignore and ignore.drops(path, directory=is_directory)):
                bare = False
                if is_directory:
                    waiting.append(path)
                else:
                    yield Found(path, mode)
        if bare and directory:
            yield Found(directory, stat.S_IFDIR)


def _listed(root: bytes, directory: bytes) -> list[tuple[bytes, int]]:
    """Path and mode of everything in a directory; no link is followed."""
    try:
        with os.scandir(os.path.join(root, directory)) as listing:  # noqa: PTH118  # any bytes
            return [
                (
                    os.path.join(directory, entry.name),  # noqa: PTH118
                    entry.stat(follow_symlinks=False).st_mode,
                )
                for entry in listing
            ]
    except OSError as error:
        raise unreadable(directory or root, error) from error


def _entry(root: bytes, found: Found) -> Entry:
    path = found.path.decode("utf-8", "surrogateescape")
    if stat.S_ISREG(found.mode):
        return _file(root, found.path, path)
    if stat.S_ISLNK(found.mode):
        return Entry(path, "link", False, 0, _target(root, found.path))
    if stat.S_ISDIR(found.mode):
        return Entry(path, "dir", False, 0, "")
    raise UsageError(
        "it is neither file, link nor directory: sockets, pipes and devices cannot be shipped",
        where=shown(path),
        next_step="take it away, or name it in .deployignore",
    )


def _file(root: bytes, raw: bytes, path: str) -> Entry:
    digest = hashlib.sha256()
    size = 0
    with opened(root, raw) as (descriptor, status):
        for chunk in chunks(descriptor):
            digest.update(chunk)
            size += len(chunk)
        if size != status.st_size:
            raise changed_meanwhile(raw)
    executable = bool(status.st_mode & stat.S_IXUSR)
    return Entry(path, "file", executable, size, digest.hexdigest())


def _target(root: bytes, path: bytes) -> str:
    try:
        target = os.readlink(os.path.join(root, path))  # noqa: PTH115, PTH118  # any bytes
    except OSError as error:
        raise unreadable(path, error) from error
    return target.decode("utf-8", "surrogateescape")
