"""UrlSource against a mirror on loopback that answers, fails, stalls and lies."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from quoracy.errors import ReleaseError
from quoracy.releases.source import UPSTREAM_URL
from quoracy.releases.url import UrlSource
from tests.releases.release_server import NAME, VERSION, Mirror, release, serving

ARCHIVE = release()
DIGEST = hashlib.sha256(ARCHIVE).hexdigest()


@pytest.fixture
def source(mirror: Mirror, tmp_path: Path) -> UrlSource:
    return UrlSource(mirror.base, tmp_path / "cache")


def cached(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache").rglob("*") if path.is_file())


def test_release_is_downloaded_once(mirror: Mirror, source: UrlSource, tmp_path: Path) -> None:
    for _ in range(2):
        found = source.fetch(VERSION, "amd64")
        assert (found.version, found.arch, found.sha256) == (VERSION, "amd64", DIGEST)
        assert found.archive.read_bytes() == ARCHIVE
    assert mirror.asked == ["SHA256SUMS", NAME]
    assert cached(tmp_path) == [".lock", NAME, f"{NAME}.sha256"]


def test_cached_release_needs_no_network(source: UrlSource, mirror: Mirror) -> None:
    source.fetch(VERSION, "amd64")
    mirror.status = 500
    assert source.fetch(VERSION, "amd64").sha256 == DIGEST


def test_trailing_slash_is_the_same_mirror(
    source: UrlSource, mirror: Mirror, tmp_path: Path
) -> None:
    source.fetch(VERSION, "amd64")
    UrlSource(f"{mirror.base}/", tmp_path / "cache").fetch(VERSION, "amd64")
    assert len(mirror.asked) == 2


def test_mirrors_do_not_share_what_they_gave(
    source: UrlSource, mirror: Mirror, tmp_path: Path
) -> None:
    source.fetch(VERSION, "amd64")
    with serving() as other:
        other.publish(b"a build of its own")
        found = UrlSource(other.base, tmp_path / "cache").fetch(VERSION, "amd64")
    assert found.archive.read_bytes() == b"a build of its own"
    assert source.fetch(VERSION, "amd64").archive.read_bytes() == ARCHIVE


def test_damaged_cache_is_found_and_can_be_renewed(source: UrlSource) -> None:
    archive = source.fetch(VERSION, "amd64").archive
    archive.write_bytes(b"damaged")
    found = hashlib.sha256(b"damaged").hexdigest()
    with pytest.raises(ReleaseError, match=f"has sha256 {found}, expected {DIGEST}") as caught:
        source.fetch(VERSION, "amd64")
    assert caught.value.next_step == f"remove {archive} and try again"
    archive.unlink()
    assert source.fetch(VERSION, "amd64").archive.read_bytes() == ARCHIVE


def test_archive_without_record_is_not_trusted(source: UrlSource) -> None:
    archive = source.fetch(VERSION, "amd64").archive
    archive.with_name(f"{NAME}.sha256").unlink()
    archive.write_bytes(b"whatever")
    assert source.fetch(VERSION, "amd64").archive.read_bytes() == ARCHIVE


def test_other_archive_than_published(mirror: Mirror, source: UrlSource, tmp_path: Path) -> None:
    mirror.publish(b"forged", listed=ARCHIVE)
    found = hashlib.sha256(b"forged").hexdigest()
    with pytest.raises(ReleaseError, match=f"has sha256 {found}, expected {DIGEST}"):
        source.fetch(VERSION, "amd64")
    assert cached(tmp_path) == [".lock"]
    mirror.publish(ARCHIVE)
    assert source.fetch(VERSION, "amd64").sha256 == DIGEST


def test_download_cut_short(mirror: Mirror, source: UrlSource, tmp_path: Path) -> None:
    mirror.cut = True
    size = len(ARCHIVE)
    with pytest.raises(ReleaseError, match=f"ended after {size // 2} of {size} bytes"):
        source.fetch(VERSION, "amd64")
    assert cached(tmp_path) == [".lock"]
    mirror.cut = False
    assert source.fetch(VERSION, "amd64").sha256 == DIGEST


@pytest.mark.parametrize("missing", [NAME, "SHA256SUMS"])
def test_missing_files(mirror: Mirror, source: UrlSource, missing: str) -> None:
    del mirror.files[f"/etcd/v{VERSION}/{missing}"]
    with pytest.raises(ReleaseError, match="the server says 404") as caught:
        source.fetch(VERSION, "amd64")
    assert caught.value.where == f"{mirror.base}/v{VERSION}/{missing}"
    assert "was released" in caught.value.next_step


def test_unlisted_archive(mirror: Mirror, source: UrlSource) -> None:
    mirror.files[f"/etcd/v{VERSION}/SHA256SUMS"] = b"<html>log in first</html>"
    with pytest.raises(ReleaseError, match=f"no checksum for {NAME}"):
        source.fetch(VERSION, "amd64")
    assert mirror.asked == ["SHA256SUMS"]


def test_endless_checksums(mirror: Mirror, source: UrlSource) -> None:
    mirror.files[f"/etcd/v{VERSION}/SHA256SUMS"] = b"x" * 3_000_000
    with pytest.raises(ReleaseError, match="too large"):
        source.fetch(VERSION, "amd64")


def test_server_in_trouble(mirror: Mirror, source: UrlSource) -> None:
    mirror.status = 503
    with pytest.raises(ReleaseError, match="the server says 503") as caught:
        source.fetch(VERSION, "amd64")
    assert "try again later" in caught.value.next_step


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(ReleaseError, match="Connection refused") as caught:
            UrlSource(base, tmp_path).fetch(VERSION, "amd64")
    assert caught.value.where == f"{base}/v{VERSION}/SHA256SUMS"


def test_two_at_once_download_once(mirror: Mirror, source: UrlSource) -> None:
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(source.fetch(VERSION, "amd64").sha256))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [DIGEST] * 4
    assert mirror.asked == ["SHA256SUMS", NAME]


FETCH = """
import sys
from pathlib import Path
from quoracy.releases.url import UrlSource
UrlSource(sys.argv[1], Path(sys.argv[2])).fetch(sys.argv[3], "amd64")
"""


def test_killed_download_is_repeated_and_leaves_nothing(
    mirror: Mirror, source: UrlSource, tmp_path: Path
) -> None:
    mirror.stalled = True
    argv = (sys.executable, "-c", FETCH, mirror.base, str(tmp_path / "cache"), VERSION)
    with subprocess.Popen(argv) as process:
        mirror.half_sent.wait()
        os.kill(process.pid, signal.SIGKILL)
    assert len(cached(tmp_path)) == 2  # the lock and the unfinished file
    mirror.stalled = False
    assert source.fetch(VERSION, "amd64").sha256 == DIGEST
    assert cached(tmp_path) == [".lock", NAME, f"{NAME}.sha256"]


def test_redirects_are_followed(mirror: Mirror, source: UrlSource) -> None:
    path = f"/etcd/v{VERSION}/{NAME}"
    mirror.files["/elsewhere"] = mirror.files.pop(path)
    mirror.redirects[path] = "/elsewhere"
    assert source.fetch(VERSION, "amd64").sha256 == DIGEST


def test_cache_that_is_a_file(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ReleaseError, match="the cache of releases cannot be used"):
        UrlSource(mirror.base, tmp_path / "file").fetch(VERSION, "amd64")


def test_upstream_is_a_base_url(tmp_path: Path) -> None:
    UrlSource(UPSTREAM_URL, tmp_path)
    assert list(tmp_path.iterdir()) == []
