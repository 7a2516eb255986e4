"""What is in a release archive, looked at before any host unpacks it."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from quoracy.errors import ReleaseError

REQUIRED = ("etcd", "etcdctl")
BINARIES = (*REQUIRED, "etcdutl")  # etcdutl since 3.5
_CHUNK_BYTES = 1024 * 1024


def check_archive(path: Path, version: str) -> tuple[str, ...]:
    """List the archive, unpacking nothing, and return the names of the binaries in it.

    Args:
        path: A tar.gz of upstream's layout: all below `etcd-v<version>-<os>-<arch>`.
        version: The version it must be of.

    Raises:
        ReleaseError: It is damaged, would write outside its folder, holds anything but files and
            folders, or lacks a binary.
    """
    top, files = _survey(path)
    if not top.startswith(f"etcd-v{version}-"):
        raise _unusable(path, f"its folder is {top!r}, not that of version {version}")
    missing = [name for name in REQUIRED if name not in files]
    if missing:
        raise _unusable(path, f"{' and '.join(missing)} is not in {top}")
    return tuple(name for name in BINARIES if name in files)


def _survey(path: Path) -> tuple[str, set[str]]:
    """Return the top folder and the names of the files directly in it."""
    tops: set[str] = set()
    files: set[str] = set()
    for entry, parts in _entries(path):
        tops.update(parts[:1])
        if entry.isreg() and len(parts) == 1:
            raise _unusable(path, f"{entry.name!r} lies outside of a folder")
        if entry.isreg() and len(parts) == 2 and entry.size:
            files.add(parts[1])
    if len(tops) != 1:
        raise _unusable(path, f"it holds {len(tops)} folders, not one")
    return tops.pop(), files


def _entries(path: Path) -> Iterator[tuple[tarfile.TarInfo, tuple[str, ...]]]:
    """Yield each entry and the parts of its path, and read on to the end for gzip's checksum."""
    try:
        with gzip.open(path) as plain:
            with tarfile.open(fileobj=plain, mode="r:") as archive:
                for entry in archive:
                    yield entry, _safe_parts(path, entry)
            while plain.read(_CHUNK_BYTES):
                pass
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise _unusable(path, f"it cannot be read as tar.gz: {error}") from error


def _safe_parts(path: Path, entry: tarfile.TarInfo) -> tuple[str, ...]:
    """Return the parts of the entry's path, "." left out."""
    inside = PurePosixPath(entry.name)
    if inside.is_absolute() or ".." in inside.parts:
        raise _unusable(path, f"{entry.name!r} leads out of the archive")
    if not (entry.isreg() or entry.isdir()):
        raise _unusable(path, f"{entry.name!r} is neither file nor folder")
    return inside.parts


def _unusable(path: Path, why: str) -> ReleaseError:
    return ReleaseError(
        f"the archive cannot be used: {why}",
        where=str(path),
        next_step="get the archive from etcd's releases",
    )
