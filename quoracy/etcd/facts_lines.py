"""Lines that a host prints about a member: names of directories and files. Pure."""

from __future__ import annotations

from quoracy.hosts import bounded
from quoracy.hosts.question import Answer

_MOST = 1000
"""Releases, generations or keys of one cluster on a host: nobody has as many."""


def releases(answer: Answer) -> dict[str, str]:
    """Digest by version, of `/opt/etcd/3.5.16/.quoracy-sha256:<digest>` lines."""
    found = (line.rpartition(":") for line in bounded.few(answer.lines, "releases", _MOST))
    return {_directory_of(path): bounded.word(digest, "a digest") for path, _, digest in found}


def staged(answer: Answer) -> frozenset[str]:
    """Names of generations, of paths of a file in each."""
    return frozenset(map(_directory_of, bounded.few(answer.lines, "generations", _MOST)))


def keys(answer: Answer) -> frozenset[str]:
    """Names of key files, of their paths."""
    lines = bounded.few(answer.lines, "keys", _MOST)
    return frozenset(bounded.word(line.rpartition("/")[2], "a key") for line in lines)


def uptime(answer: Answer) -> float:
    """Seconds since boot, of /proc/uptime."""
    return bounded.seconds(answer.text.partition(" ")[0], "uptime")


def _directory_of(path: str) -> str:
    """Name of the directory that a file is in."""
    return bounded.word(path.rpartition("/")[0].rpartition("/")[2], "a directory")
