"""A directory of archives, and the file of checksums."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from quoracy.errors import ReleaseError, UsageError
from quoracy.releases.source import DirectorySource, archive_name, find_checksum
from tests.releases.release_server import NAME, VERSION, checksums, release

ARCHIVE = release()
DIGEST = hashlib.sha256(ARCHIVE).hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / NAME).write_bytes(ARCHIVE)
    sums = checksums((NAME.replace("amd64", "arm64"), b"other"), (NAME, ARCHIVE))
    (tmp_path / "SHA256SUMS").write_bytes(sums)
    return tmp_path


def test_archive_of_the_directory(directory: Path) -> None:
    found = DirectorySource(directory).fetch(VERSION, "amd64")
    assert (found.version, found.arch) == (VERSION, "amd64")
    assert (found.archive, found.sha256) == (directory / NAME, DIGEST)


def test_changed_archive(directory: Path) -> None:
    (directory / NAME).write_bytes(b"other")
    with pytest.raises(ReleaseError, match=f"has sha256 {OTHER}, expected {DIGEST}") as caught:
        DirectorySource(directory).fetch(VERSION, "amd64")
    assert caught.value.where == str(directory / NAME)


def test_truncated_archive(directory: Path) -> None:
    (directory / NAME).write_bytes(ARCHIVE[:-1])
    with pytest.raises(ReleaseError, match=f"expected {DIGEST}"):
        DirectorySource(directory).fetch(VERSION, "amd64")


@pytest.mark.parametrize("missing", [NAME, "SHA256SUMS"])
def test_missing_files(directory: Path, missing: str) -> None:
    (directory / missing).unlink()
    with pytest.raises(ReleaseError, match="no such file") as caught:
        DirectorySource(directory).fetch(VERSION, "amd64")
    assert caught.value.where == str(directory / missing)
    assert "SHA256SUMS" in caught.value.next_step


def test_archive_that_is_a_folder(directory: Path) -> None:
    (directory / NAME).unlink()
    (directory / NAME).mkdir()
    with pytest.raises(ReleaseError, match="cannot be read"):
        DirectorySource(directory).fetch(VERSION, "amd64")


def test_unlisted_archive(directory: Path) -> None:
    (directory / "SHA256SUMS").write_bytes(checksums(("another.tar.gz", ARCHIVE)))
    with pytest.raises(ReleaseError, match=f"no checksum for {NAME}") as caught:
        DirectorySource(directory).fetch(VERSION, "amd64")
    assert caught.value.where == str(directory / "SHA256SUMS")


@pytest.mark.parametrize(
    "line",
    [f"{DIGEST}  {NAME}", f"{DIGEST} *{NAME}", f"{DIGEST}  ./{NAME}", f"{DIGEST.upper()}  {NAME}"],
)
@pytest.mark.parametrize("end", ["", "\n", "\r\n", f"\n{OTHER}  {NAME}.sig\n"])
def test_lines_of_sha256sum(line: str, end: str) -> None:
    assert find_checksum(f"{line}{end}".encode(), NAME, where="x") == DIGEST


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        f"{DIGEST[:-1]}  {NAME}".encode(),
        f"{DIGEST}  {NAME}.sig".encode(),
        f"{DIGEST}  sub/{NAME}".encode(),
        f"#{DIGEST}  {NAME}".encode(),
        DIGEST.encode(),
    ],
)
def test_files_without_the_checksum(content: bytes) -> None:
    with pytest.raises(ReleaseError, match="no checksum"):
        find_checksum(content, NAME, where="x")


def test_two_checksums() -> None:
    with pytest.raises(ReleaseError, match="two different checksums"):
        find_checksum(checksums((NAME, ARCHIVE), (NAME, b"other")), NAME, where="x")
    assert find_checksum(checksums((NAME, ARCHIVE)) * 2, NAME, where="x") == DIGEST


def test_names_of_archives() -> None:
    assert archive_name("3.5.16", "amd64") == "etcd-v3.5.16-linux-amd64.tar.gz"
    assert archive_name("3.7.0-rc.1", "arm64") == "etcd-v3.7.0-rc.1-linux-arm64.tar.gz"


@pytest.mark.parametrize("version", ["", "v3.5.16", "3.5", "../3.5.16", "3.5.16/..", "3.5.16\n"])
def test_what_is_no_version(directory: Path, version: str) -> None:
    with pytest.raises(UsageError, match="not a version"):
        DirectorySource(directory).fetch(version, "amd64")


@pytest.mark.parametrize("arch", ["", "../amd64", "amd64/x", "AMD64"])
def test_what_is_no_architecture(directory: Path, arch: str) -> None:
    with pytest.raises(UsageError, match="not an architecture"):
        DirectorySource(directory).fetch(VERSION, arch)
