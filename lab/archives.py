"""Archives of real etcd releases in upstream's layout, packed from Debian's packages."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import shutil
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lab.debian import Mirror, download, find_mirror
from lab.machine import locked, run
from quoracy.errors import QuoracyError

_PACKAGES = ("etcd-server", "etcd-client")
_BINARIES = ("etcd", "etcdctl", "etcdutl")
_UPSTREAM_VERSION = re.compile(r"_(?:\d+%3a)?(\d+\.\d+\.\d+)[^_]*_[^_]+\.deb$")
README = "etcd {version}, packed from the packages of Debian {suite} for practice hosts.\n"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One release that is wanted: the first suite that has the minor at `lowest` or newer.

    Args:
        suites: Debian releases to look into, in this order.
        lowest: The lowest acceptable version; another minor is not accepted.
        required: Whether it is an error when no suite has it.
    """

    suites: tuple[str, ...]
    lowest: tuple[int, int, int]
    required: bool = True


WANTED = (
    Wanted(("bullseye",), (3, 3, 25), required=False),
    Wanted(("bookworm",), (3, 4, 23)),
    Wanted(("trixie",), (3, 5, 16)),
    # Both move: whichever still has a 3.5 that is newer than what trixie keeps.
    Wanted(("forky", "sid"), (3, 5, 30)),
)


def archives(cache: Path) -> Path:
    """Return the directory of the archives; fill it when the cache has none (half a minute).

    It holds `etcd-v<version>-linux-<architecture>.tar.gz` of each release and `SHA256SUMS`.

    Raises:
        QuoracyError: A required release cannot be had.
    """
    final = cache / "archives"
    with locked(cache / "archives.lock"):
        if not (final / "SHA256SUMS").exists():
            building = cache / "archives.building"
            for leftover in (building, final):
                if leftover.exists():
                    shutil.rmtree(leftover)
            building.mkdir(parents=True)
            _fill(building)
            building.rename(final)
    return final


def version_of(package: str) -> tuple[int, int, int] | None:
    """Return the upstream version in the file name of a Debian package; None when unreadable."""
    match = _UPSTREAM_VERSION.search(package)
    if match is None:
        return None
    major, minor, patch = match[1].split(".")
    return int(major), int(minor), int(patch)


def satisfies(wanted: Wanted, version: tuple[int, int, int] | None) -> bool:
    """Say whether a version is of the wanted minor and not too old."""
    return version is not None and version[:2] == wanted.lowest[:2] and version >= wanted.lowest


def pack(archive: Path, top: str, files: dict[str, bytes]) -> None:
    """Write a tar.gz with one top directory; the same files always give the same bytes."""
    with (
        archive.open("wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=6, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar,
    ):
        directory = tarfile.TarInfo(top)
        directory.type, directory.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(directory)
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(f"{top}/{name}")
            entry.size, entry.mode = len(content), 0o755 if name in _BINARIES else 0o644
            tar.addfile(entry, io.BytesIO(content))


def checksums(directory: Path) -> str:
    """Return the SHA256SUMS of the archives in a directory, as upstream writes it."""
    lines = []
    for archive in sorted(directory.glob("*.tar.gz")):
        with archive.open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {archive.name}\n")
    return "".join(lines)


def _fill(directory: Path) -> None:
    mirror = find_mirror()
    for wanted in WANTED:
        _have(wanted, mirror, directory)
    (directory / "SHA256SUMS").write_text(checksums(directory))


def _have(wanted: Wanted, mirror: Mirror, directory: Path) -> None:
    complaints = []
    for suite in wanted.suites:
        with tempfile.TemporaryDirectory(prefix="quoracy-etcd-") as workspace:
            try:
                packages = download(mirror, suite, _PACKAGES, Path(workspace))
            except QuoracyError as error:
                complaints.append(f"{suite}: {error.what}")
                continue
            version = version_of(packages[0].name)
            if version is not None and satisfies(wanted, version):
                _pack_release(packages, suite, version, directory)
                return
            complaints.append(f"{suite} has {packages[0].name}")
    if wanted.required:
        lowest = ".".join(map(str, wanted.lowest))
        raise QuoracyError(
            f"etcd {lowest} or newer of that minor cannot be had: {'; '.join(complaints)}",
            next_step="check that this machine's Debian mirror answers and run it again",
        )


def _pack_release(
    packages: list[Path], suite: str, version: tuple[int, int, int], directory: Path
) -> None:
    unpacked = packages[0].parent / "unpacked"
    for package in packages:
        run(("dpkg-deb", "--extract", str(package), str(unpacked)), what="unpacking etcd")
    binaries = [unpacked / "usr/bin" / name for name in _BINARIES]
    files = {path.name: path.read_bytes() for path in binaries if path.exists()}
    dotted = ".".join(map(str, version))
    files["README.md"] = README.format(version=dotted, suite=suite).encode()
    architecture = packages[0].stem.rsplit("_", 1)[1]
    top = f"etcd-v{dotted}-linux-{architecture}"
    pack(directory / f"{top}.tar.gz", top, files)
