"""What a tree of code consists of: every file with its content's digest, comparable and printable. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from quoracy.hosts import bounded
from quoracy.hosts.bounded import Unreadable

Kind = Literal["file", "link", "dir"]
MAX_TIME = 2**33
"""What the header of a tar can hold."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of a tree.

    Attributes:
        path: Relative, with "/"; bytes that are no UTF-8 as surrogates.
        kind: A directory stands here only when nothing is in it.
        executable: Whether its owner may execute it; no other permission is kept.
        size: Bytes; 0 for links and directories.
        content: SHA-256 of a file in hexadecimal, the target of a link, "" for a directory.
        time: When a file counts as changed, in seconds since the epoch; 0 when that is not decided. It
            is no part of what the tree is.
    """

    path: str
    kind: Kind
    executable: bool
    size: int
    content: str
    time: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Manifest:
    """All paths of a tree, sorted by path."""

    entries: tuple[Entry, ...]

    @staticmethod
    def of(entries: Iterable[Entry]) -> Manifest:
        """Sort the entries."""
        return Manifest(tuple(sorted(entries, key=lambda entry: entry.path)))

    def without(self, paths: Iterable[str]) -> Manifest:
        """Leave out these paths and all that lies below them; they are not part of a release."""
        left_out = frozenset(paths)
        return Manifest(
            tuple(entry for entry in self.entries if not _at_or_below(entry.path, left_out))
        )

    @cached_property
    def text(self) -> str:
        """One line of JSON per path: the same tree gives the same bytes, on every machine."""
        return "".join(
            json.dumps([e.path, e.kind, int(e.executable), e.size, e.content]) + "\n"
            for e in self.entries
        )

    @cached_property
    def recorded(self) -> str:
        """The same with times, as a release on a host keeps it."""
        return "".join(
            json.dumps([e.path, e.kind, int(e.executable), e.size, e.content, e.time]) + "\n"
            for e in self.entries
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the text, in hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @staticmethod
    def parse(text: str) -> Manifest:
        """Read what `text` or `recorded` gives.

        Raises:
            Unreadable: It is something else.
        """
        return Manifest(tuple(_entry(row) for row in text.split("\n") if row))


def parse_manifest(output: bytes) -> Manifest | None:
    """The manifest that a host has printed; None when it has none.

    Raises:
        Unreadable: It is something else.
    """
    return Manifest.parse(output.decode("utf-8", "replace")) if output else None


def _entry(row: str) -> Entry:
    """A line of a manifest."""
    try:
        fields = json.loads(row)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"this is not a manifest: {error}") from None
    match fields:
        case [
            str(path),
            "file" | "link" | "dir" as kind,
            0 | 1 as executable,
            int(size),
            str(content),
            *time,
        ] if 0 <= size <= bounded.INT64 and len(time) < 2:
            return Entry(path, kind, bool(executable), size, content, *map(_time, time))
    raise Unreadable(f"this is not a manifest: {bounded.one_line(row, _SHOWN)}")


_SHOWN = 100


def _time(told: object) -> int:
    """What can be no time counts as none."""
    return told if type(told) is int and 0 <= told < MAX_TIME else 0


def _at_or_below(path: str, paths: frozenset[str]) -> bool:
    while path and path not in paths:
        path = path.rpartition("/")[0]
    return bool(path)


@dataclass(frozen=True, slots=True)
class Difference:
    """What has to be done to a tree to make it another one: first `deleted`, then `changed`.

    Attributes:
        changed: New paths, and those with another content, kind or mode, or another time where that
            is decided.
        deleted: Paths that go before the changed ones come, so also a file whose place a directory
            takes, and all in a directory whose place a link takes. Directories that become empty are
            not named.
    """

    changed: tuple[Entry, ...]
    deleted: tuple[str, ...]


def difference(before: Manifest, after: Manifest) -> Difference:
    """What changes from one tree to the other."""
    old = {entry.path: entry for entry in before.entries}
    files = {entry.path for entry in after.entries if entry.kind != "dir"}
    directories = {entry.path for entry in after.entries if entry.kind == "dir"}
    directories |= _directories(after)
    return Difference(
        tuple(entry for entry in after.entries if _is_another(old.get(entry.path), entry)),
        tuple(
            entry.path
            for entry in before.entries
            if entry.path not in (directories if entry.kind == "dir" else files)
        ),
    )


def _is_another(before: Entry | None, after: Entry) -> bool:
    return before != after or bool(before and after.time and before.time != after.time)


def _directories(manifest: Manifest) -> set[str]:
    """Every directory that something of the tree lies in."""
    found: set[str] = set()
    for entry in manifest.entries:
        path = entry.path
        while (path := path.rpartition("/")[0]) and path not in found:
            found.add(path)
    return found
