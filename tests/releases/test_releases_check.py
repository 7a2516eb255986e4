"""Whether a release can be had, told before anything is changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from quoracy.operation.verdict import Verdict
from quoracy.releases.check import check_releases
from quoracy.releases.source import DirectorySource, ReleaseSource
from quoracy.releases.url import UrlSource
from tests.releases.release_server import NAME, VERSION, Mirror, checksums, release

WANTED = [(VERSION, "amd64"), (VERSION, "amd64")]


def check(source: ReleaseSource, *, download: bool) -> list[Verdict]:
    return check_releases(source, WANTED, download=download)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / NAME).write_bytes(release())
    (tmp_path / "SHA256SUMS").write_bytes(checksums((NAME, release())))
    return tmp_path


@pytest.mark.parametrize("download", [True, False])
def test_a_directory_is_looked_at_whole(directory: Path, download: bool) -> None:
    source = DirectorySource(directory)
    assert check(source, download=download) == []
    (directory / NAME).write_bytes(release()[:-20])
    (found,) = check(source, download=download)
    assert (found.reason, found.stops) == ("ReleaseUnusable", True)
    assert found.message.startswith(
        f"etcd {VERSION} for amd64 cannot be installed: the archive has"
    )
    assert (found.where, bool(found.next_step)) == (str(directory / NAME), True)


def test_an_archive_that_is_damaged_but_listed_so_is_refused(directory: Path) -> None:
    (directory / NAME).write_bytes(release()[:-20])
    (directory / "SHA256SUMS").write_bytes(checksums((NAME, release()[:-20])))
    (found,) = check(DirectorySource(directory), download=False)
    assert "cannot be read as tar.gz" in found.message


def test_without_download_a_mirror_is_only_asked_for_the_checksum(
    mirror: Mirror, tmp_path: Path
) -> None:
    source = UrlSource(mirror.base, tmp_path)
    assert check(source, download=False) == []
    assert not source.is_here(VERSION, "amd64")
    assert check(source, download=True) == []
    assert source.is_here(VERSION, "amd64")
    assert source.checksum(VERSION, "amd64") == source.fetch(VERSION, "amd64").sha256


@pytest.mark.parametrize("download", [True, False])
def test_a_version_that_a_mirror_does_not_have(
    mirror: Mirror, tmp_path: Path, download: bool
) -> None:
    source = UrlSource(mirror.base, tmp_path)
    (found,) = check_releases(source, [("3.5.99", "amd64")], download=download)
    assert "etcd 3.5.99 for amd64 cannot be installed: the server says 404" in found.message
    assert found.next_step == "check that this version was released for this architecture"


def test_what_is_no_version_is_a_verdict_too(directory: Path) -> None:
    (found,) = check_releases(DirectorySource(directory), [("../x", "amd64")], download=False)
    assert "is not a version" in found.message
