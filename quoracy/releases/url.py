"""Releases from upstream or from a mirror of the same layout, cached on this machine."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

from quoracy.durable import locked, make_directory, staged_file, write_file
from quoracy.errors import ReleaseError
from quoracy.releases.download import check_base_url, download
from quoracy.releases.source import (
    CHECKSUMS,
    Release,
    archive_name,
    check_sha256,
    find_checksum,
    verify,
)

_CHECKSUMS_BYTES = 1024 * 1024  # far above any real file; a login page is not read to its end
_DISTRUST = "nothing was kept; try again, and if it stays so do not trust this source"


class UrlSource:
    """Downloads `{base}/v3.5.16/etcd-v3.5.16-linux-amd64.tar.gz` and `SHA256SUMS` beside it.

    Each base URL has its own folder in the cache, as a mirror may carry builds of its own. An
    archive counts as cached when its checksum was recorded beside it, which is done last; it needs
    no network then, and is verified each time.

    Args:
        base_url: http or https, without credentials; `UPSTREAM_URL`, or a mirror.
        cache: Made when needed; shared by all processes of this machine.
    """

    def __init__(self, base_url: str, cache: Path) -> None:
        self._base = check_base_url(base_url)
        self._cache = cache / hashlib.sha256(self._base.encode()).hexdigest()[:16]

    def fetch(self, version: str, arch: str) -> Release:
        """Return the cached archive, downloading it first when it is not there.

        One process downloads, others wait for it.
        """
        archive = self._archive(version, arch)
        with _cache_errors(archive):
            make_directory(archive.parent)
            with locked(archive.parent / ".lock"):
                sha256 = self._cached(archive) or self._download(version, archive)
        return Release(version=version, arch=arch, archive=archive, sha256=sha256)

    def is_here(self, version: str, arch: str) -> bool:
        """Whether the archive was downloaded before."""
        return _record(self._archive(version, arch)).exists()

    def checksum(self, version: str, arch: str) -> str:
        """Download the file of checksums and return what it says."""
        return self._checksum(version, archive_name(version, arch))

    def _archive(self, version: str, arch: str) -> Path:
        return self._cache / f"v{version}" / archive_name(version, arch)

    def _cached(self, archive: Path) -> str | None:
        record = _record(archive)
        try:
            expected = find_checksum(record.read_bytes(), archive.name, where=str(record))
            verify(archive, expected, next_step=f"remove {archive} and try again")
        except FileNotFoundError:
            return None
        return expected

    def _download(self, version: str, archive: Path) -> str:
        url = f"{self._base}/v{version}/{archive.name}"
        expected = self._checksum(version, archive.name)
        with staged_file(archive, mode=0o644) as part:
            digest = hashlib.sha256()
            for chunk in download(url):
                digest.update(chunk)
                part.write(chunk)
            check_sha256(digest.hexdigest(), expected, where=url, next_step=_DISTRUST)
        write_file(_record(archive), f"{expected}  {archive.name}\n".encode(), mode=0o644)
        return expected

    def _checksum(self, version: str, name: str) -> str:
        url = f"{self._base}/v{version}/{CHECKSUMS}"
        content = bytearray()
        for chunk in download(url):
            content += chunk
            if len(content) > _CHECKSUMS_BYTES:
                raise ReleaseError(
                    "the file of checksums is too large to be one",
                    where=url,
                    next_step="check the URL of the releases",
                )
        return find_checksum(bytes(content), name, where=url)


def _record(archive: Path) -> Path:
    return archive.with_name(f"{archive.name}.sha256")


@contextlib.contextmanager
def _cache_errors(archive: Path) -> Iterator[None]:
    """Say that it is the cache that fails; what the network says was mapped by `download`."""
    try:
        yield
    except OSError as error:
        raise ReleaseError(
            f"the cache of releases cannot be used: {error.strerror or error}",
            where=str(archive.parent),
            next_step="check permissions and free space there",
        ) from error
