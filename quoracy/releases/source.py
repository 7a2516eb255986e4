"""Where etcd's release archives come from; no archive is given out unverified."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from quoracy.errors import ReleaseError, UsageError

# Upstream's download address, see "Install v<version>" on each page of etcd-io/etcd/releases.
UPSTREAM_URL = "https://github.com/etcd-io/etcd/releases/download"
CHECKSUMS = "SHA256SUMS"

_VERSION = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.]+)?")
_ARCH = re.compile(r"[a-z0-9_]+")
_CHECKSUM_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](?:\./)?(\S+)")  # as sha256sum writes them


@dataclass(frozen=True, slots=True)
class Release:
    """A verified archive on this machine.

    Args:
        version: Without the leading v.
        arch: Go's name of the architecture (amd64, arm64).
        archive: The file; whoever sends it on verifies `sha256` again where it arrives.
        sha256: Its digest, lower-case hexadecimal.
    """

    version: str
    arch: str
    archive: Path
    sha256: str


class ReleaseSource(Protocol):
    """Gives the archive of a version."""

    def fetch(self, version: str, arch: str) -> Release:
        """Return the archive after verifying its checksum, each time anew.

        Raises:
            ReleaseError: It cannot be had, has no checksum, or another one than recorded.
            UsageError: The version or the architecture is not one.
        """

    def is_here(self, version: str, arch: str) -> bool:
        """Whether `fetch` needs no network for it."""

    def checksum(self, version: str, arch: str) -> str:
        """Return the published sha256 of the archive, which tells that the version exists.

        Raises:
            ReleaseError: There is none, or the source cannot be asked.
            UsageError: The version or the architecture is not one.
        """


@dataclass(frozen=True, slots=True)
class DirectorySource:
    """Archives that lie in a directory, `SHA256SUMS` beside them."""

    directory: Path

    def fetch(self, version: str, arch: str) -> Release:
        """Return the archive of the directory, in place."""
        name = archive_name(version, arch)
        archive = self.directory / name
        with self._errors(name):
            expected = self._published(name)
            verify(archive, expected, next_step="put a good copy of the archive there")
        return Release(version=version, arch=arch, archive=archive, sha256=expected)

    def is_here(self, version: str, arch: str) -> bool:  # noqa: ARG002  the protocol's
        """A directory needs no network."""
        return True

    def checksum(self, version: str, arch: str) -> str:
        """Return what the file of checksums says."""
        name = archive_name(version, arch)
        with self._errors(name):
            return self._published(name)

    def _published(self, name: str) -> str:
        checksums = self.directory / CHECKSUMS
        return find_checksum(checksums.read_bytes(), name, where=str(checksums))

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        """Say what is missing in the directory, or cannot be read."""
        try:
            yield
        except FileNotFoundError as error:
            raise ReleaseError(
                "there is no such file",
                where=str(error.filename),
                next_step=f"put {name} and upstream's {CHECKSUMS} into {self.directory}",
            ) from error
        except OSError as error:
            raise ReleaseError(
                f"it cannot be read: {error.strerror}",
                where=str(error.filename or self.directory / name),
                next_step="correct `release` of the cluster, or the permissions",
            ) from error


def archive_name(version: str, arch: str) -> str:
    """Return upstream's name of the archive; it is safe as a file name and in a URL.

    Raises:
        UsageError: The version or the architecture is not one.
    """
    if not _VERSION.fullmatch(version):
        raise UsageError(
            f"{version!r} is not a version of etcd", next_step="write it like 3.5.16, without a v"
        )
    if not _ARCH.fullmatch(arch):
        raise UsageError(f"{arch!r} is not an architecture", next_step="use amd64 or arm64")
    return f"etcd-v{version}-linux-{arch}.tar.gz"


def find_checksum(content: bytes, name: str, *, where: str) -> str:
    """Return the one checksum that a file in sha256sum's format gives for `name`.

    Args:
        content: The file.
        name: The archive's name.
        where: Path or URL of the file, for the error.

    Raises:
        ReleaseError: There is none, or there are two that differ.
    """
    lines = (_CHECKSUM_LINE.fullmatch(line) for line in _lines(content))
    found = {line[1].lower() for line in lines if line and line[2] == name}
    if len(found) != 1:
        problem = "two different checksums" if found else "no checksum"
        raise ReleaseError(
            f"there is {problem} for {name}",
            where=where,
            next_step="get the checksums from where the archive was published",
        )
    return found.pop()


def verify(archive: Path, expected: str, *, next_step: str) -> None:
    """Read the whole archive and hold it against its checksum.

    Args:
        archive: The file.
        expected: Its sha256, lower-case hexadecimal.
        next_step: What to do when it differs.

    Raises:
        ReleaseError: It has another checksum.
        OSError: It cannot be read.
    """
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    check_sha256(found, expected, where=str(archive), next_step=next_step)


def check_sha256(found: str, expected: str, *, where: str, next_step: str) -> None:
    """Refuse an archive that is not the published one.

    Raises:
        ReleaseError: The digests differ; names both.
    """
    if found != expected:
        raise ReleaseError(
            f"the archive has sha256 {found}, expected {expected}",
            where=where,
            next_step=next_step,
        )


def _lines(content: bytes) -> list[str]:
    return content.decode("utf-8", errors="replace").splitlines()
