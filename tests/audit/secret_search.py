"""Looks for secrets, in every form that one may leak in, in bytes, trees of files, and SQLite files."""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_ssh_private_key,
)

SHORTEST = 8  # bytes of a piece that no other text holds by chance


@dataclass(slots=True)
class Search:
    """The secrets that are looked for: their names, and the byte strings that give each away."""

    needles: dict[str, set[bytes]] = field(default_factory=dict)

    def add(self, name: str, secret: str) -> None:
        """Look for a text: whole or half, plain or encoded."""
        self.needles[name] = forms(secret.encode())

    def add_key(self, name: str, pem: bytes) -> None:
        """Look for a private key: each line of its secret part, and its number."""
        self.needles[name] = key_forms(pem)

    def found_in(self, data: bytes) -> set[str]:
        """Names of the secrets that the data hold."""
        return {name for name, own in self.needles.items() if any(needle in data for needle in own)}

    def in_many(self, texts: Iterable[bytes]) -> set[str]:
        """Names of the secrets in any of the texts."""
        return self.found_in(b"\n\0\n".join(texts))

    def in_sqlite(self, file: Path) -> set[str]:
        """Names of the secrets in a SQLite database: in each value, and in its files as they lie."""
        raw = (path.read_bytes() for path in file.parent.glob(f"{file.name}*"))
        return self.in_many(raw) | self.in_many(_values(file))

    def in_tree(
        self,
        root: Path,
        *,
        allowed: Iterable[Path] = (),
        since: float = 0.0,
        readable: Callable[[int], bool] = lambda _: True,
    ) -> dict[str, set[str]]:
        """Names of the secrets below a directory, by file.

        Args:
            root: Where to begin; links are not followed.
            allowed: Files that are there to hold a secret.
            since: Only files that were changed later, in seconds since 1970.
            readable: Says of a file's mode whether the file counts.
        """
        exempt, found = set(allowed), {}
        for path, status in files_below(root):
            if path in exempt or status.st_ctime < since or not readable(status.st_mode):
                continue
            names = self.found_in(path.name.encode() + b"\n" + path.read_bytes().rstrip(b"\0"))
            if names:
                found[str(path)] = names
        return found


def files_below(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Every regular file below a directory with its status; what vanishes meanwhile is left out."""
    for folder, _, names in os.walk(root):
        for path in (Path(folder, name) for name in names):
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue
            if stat.S_ISREG(status.st_mode):
                yield path, status


def forms(secret: bytes) -> set[bytes]:
    """A secret and its halves, plain, quoted for URLs and JSON, in base64 at any place, and in hex."""
    middle = len(secret) // 2
    pieces = {secret, secret[:middle], secret[middle:]}
    return {form for piece in pieces if len(piece) >= SHORTEST for form in _encoded(piece)}


def key_forms(pem: bytes) -> set[bytes]:
    """The secret part of a key's PEM lines, and the number itself, each in all forms."""
    number = _number(pem)
    lines = [line.strip() for line in pem.splitlines() if line and not line.startswith(b"-")]
    body = base64.b64decode(b"".join(lines))
    begin = body.index(number)
    found = forms(number)
    # A line break every so many characters: the pieces of the number that stand in one line.
    width, at = len(lines[0]) * 3 // 4, 0
    while at < len(body):
        first, last = max(at, begin), min(at + width, begin + len(number))
        if last - first >= SHORTEST:
            # The characters that stand for these bytes alone, in the base64 of the whole body.
            found |= forms(base64.b64encode(body)[-(-first * 8 // 6) : last * 8 // 6])
        at += width
    return found


def _encoded(piece: bytes) -> Iterator[bytes]:
    yield piece
    yield quote(piece, safe="").encode()
    yield piece.hex().encode()
    with suppress(UnicodeDecodeError):  # the number of a key is no text
        yield json.dumps(piece.decode())[1:-1].encode()
    for shift in range(3):
        # Only the characters that do not depend on what stands before and after.
        whole = base64.b64encode(b"\0" * shift + piece)
        plain = whole[(shift * 8 + 5) // 6 : (shift + len(piece)) * 8 // 6]
        yield from (plain, plain.replace(b"+", b"-").replace(b"/", b"_"))
        yield quote(plain, safe="").encode()


def _number(pem: bytes) -> bytes:
    load = load_ssh_private_key if b"OPENSSH" in pem else load_pem_private_key
    key = load(pem, None)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.private_bytes_raw()
    assert isinstance(key, ec.EllipticCurvePrivateKey), "other keys are planted nowhere"
    # As short as it goes: one key in 256 begins with a zero, which OpenSSH leaves out (RFC 4251, mpint).
    value = key.private_numbers().private_value
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _values(file: Path) -> Iterator[bytes]:
    """Every value of every table, whole: in the file, long ones are spread over several pages."""
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        ).fetchall()
        for (table,) in tables:
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                yield from (v if isinstance(v, bytes) else str(v).encode() for v in row)
    finally:
        connection.close()


class ProcessLists:
    """Command lines of all processes of machine and hosts, and environments of those on the hosts.

    The controller's own environment may hold secrets: that is what `env:NAME` refers to.
    """

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._here = _namespace("self")

    def __enter__(self) -> ProcessLists:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        looks: dict[str, int] = {}
        while not self._stop.wait(0.002):
            with os.scandir("/proc") as entries:  # a path of each would take most of the time
                present = {entry.name for entry in entries if entry.name.isdigit()}
            # Twice: between fork and exec a process shows the command line of its parent.
            looks = {pid: looks.get(pid, 0) + 1 for pid in present}
            for pid in (pid for pid, times in looks.items() if times <= 2):
                self._look(pid)

    def _look(self, pid: str) -> None:
        try:
            self.seen.add(Path("/proc", pid, "cmdline").read_bytes())
            if _namespace(pid) != self._here:
                self.seen.add(Path("/proc", pid, "environ").read_bytes())
        except OSError:
            return  # it has ended meanwhile


def _namespace(pid: str) -> str:
    return str(Path("/proc", pid, "ns", "pid").readlink())
