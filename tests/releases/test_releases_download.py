"""Addresses, TLS and timeouts of downloads."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from quoracy.errors import ReleaseError, UsageError
from quoracy.pki.authority import Authority
from quoracy.releases.download import download
from quoracy.releases.url import UrlSource
from tests.releases.release_server import NAME, VERSION, Mirror, release, serving

ARCHIVE = release()
DIGEST = hashlib.sha256(ARCHIVE).hexdigest()


def test_server_that_stops_sending(mirror: Mirror) -> None:
    mirror.stalled = True
    with pytest.raises(ReleaseError, match="timed out"):
        list(download(f"{mirror.base}/v{VERSION}/{NAME}", timeout=0.2))


@pytest.fixture
def tls_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    now = datetime.now(UTC)
    authority = Authority.create("mirror", now)
    leaf = authority.issue("server", "mirror", ["127.0.0.1"], now)
    (tmp_path / "ca.pem").write_bytes(authority.cert_pem)
    (tmp_path / "pair.pem").write_bytes(leaf.cert_pem + leaf.key_pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pair.pem")
    with serving(context) as made:
        made.publish(ARCHIVE)
        yield made


def test_https(tls_mirror: Mirror, tmp_path: Path) -> None:
    assert UrlSource(tls_mirror.base, tmp_path).fetch(VERSION, "amd64").sha256 == DIGEST


def test_certificate_of_an_unknown_authority(
    tls_mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other.pem").write_bytes(Authority.create("x", datetime.now(UTC)).cert_pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "other.pem"))
    with pytest.raises(ReleaseError, match="certificate verify failed"):
        UrlSource(tls_mirror.base, tmp_path).fetch(VERSION, "amd64")


def test_redirect_from_https_to_http_is_refused(
    tls_mirror: Mirror, mirror: Mirror, tmp_path: Path
) -> None:
    path = f"/etcd/v{VERSION}/SHA256SUMS"
    tls_mirror.redirects[path] = f"{mirror.base}/v{VERSION}/SHA256SUMS"
    with pytest.raises(ReleaseError, match="redirects to an address without TLS"):
        UrlSource(tls_mirror.base, tmp_path).fetch(VERSION, "amd64")
    assert mirror.asked == []


@pytest.mark.parametrize(
    "url",
    ["", "mirror.example", "file:///etc", "ftp://x/y", "https://", "https://x/?a=b", "http:///x"],
)
def test_what_is_no_base_url(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be the URL of releases"):
        UrlSource(url, tmp_path)


def test_credentials_in_the_url_are_refused_and_not_shown(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds credentials") as caught:
        UrlSource("https://me:not-to-be-seen@mirror.example/etcd", tmp_path)
    assert "not-to-be-seen" not in str(caught.value)
