"""Authorities on disk, and those that users bring."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from quoracy.errors import Refused, UsageError
from quoracy.pki.authority import Authority, Leaf, Role
from quoracy.pki.inspect import read_certificate, signed_by

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def authority() -> Authority:
    return Authority.create("demo", NOW)


def issue(authority: Authority, role: Role = "peer", now: datetime = NOW) -> Leaf:
    return authority.issue(role, "demo-1", ["198.51.100.2", "demo-1.example"], now)


def test_saved_authority_is_loaded(authority: Authority, tmp_path: Path) -> None:
    authority.save(tmp_path / "pki" / "demo")
    loaded = Authority.load(tmp_path / "pki" / "demo")
    assert loaded.cert_pem == authority.cert_pem
    assert loaded.key_pem() == authority.key_pem()
    assert signed_by(issue(loaded).cert_pem, authority.cert_pem)


def test_modes_of_the_files(authority: Authority, tmp_path: Path) -> None:
    directory = tmp_path / "demo"
    directory.mkdir(mode=0o755)
    authority.save(directory)
    modes = {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}
    assert modes == {"ca.key": 0o600, "ca.pem": 0o644}
    assert directory.stat().st_mode & 0o777 == 0o700


def test_saving_again_changes_nothing_and_another_is_refused(
    authority: Authority, tmp_path: Path
) -> None:
    authority.save(tmp_path)
    authority.save(tmp_path)
    with pytest.raises(Refused, match="another CA already"):
        Authority.create("demo", NOW).save(tmp_path)
    assert Authority.load(tmp_path).cert_pem == authority.cert_pem


def test_save_that_was_killed_between_its_files_can_be_repeated(
    authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_bytes(b"left behind")
    authority.save(tmp_path)
    assert Authority.load(tmp_path).cert_pem == authority.cert_pem
    assert (tmp_path / "ca.pem.1").read_bytes() == b"left behind"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_key_that_others_may_read_is_refused(
    authority: Authority, tmp_path: Path, mode: int
) -> None:
    authority.save(tmp_path)
    (tmp_path / "ca.key").chmod(mode)
    with pytest.raises(Refused, match="others than its owner") as caught:
        Authority.load(tmp_path)
    assert "chmod 600" in caught.value.next_step


@pytest.mark.parametrize("missing", ["ca.key", "ca.pem"])
def test_missing_files(authority: Authority, tmp_path: Path, missing: str) -> None:
    authority.save(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(UsageError, match="cannot be read") as caught:
        Authority.load(tmp_path)
    assert caught.value.where == str(tmp_path / missing)


def test_key_of_another_authority(authority: Authority, tmp_path: Path) -> None:
    authority.save(tmp_path)
    (tmp_path / "ca.key").write_bytes(Authority.create("demo", NOW).key_pem())
    with pytest.raises(UsageError, match="not that of the CA's certificate") as caught:
        Authority.load(tmp_path)
    assert caught.value.where == str(tmp_path)


def test_damaged_key_is_not_quoted(authority: Authority) -> None:
    damaged = authority.key_pem().replace(b"A", b"!", 1)
    with pytest.raises(UsageError, match="not a private key") as caught:
        Authority.from_pem(authority.cert_pem, damaged)
    assert damaged.splitlines()[1].decode() not in str(caught.value)


def test_key_under_a_passphrase(authority: Authority) -> None:
    key = load_pem_private_key(authority.key_pem(), password=None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    with pytest.raises(UsageError, match="passphrase"):
        Authority.from_pem(authority.cert_pem, locked)


def test_leaf_is_no_authority(authority: Authority) -> None:
    leaf = issue(authority)
    with pytest.raises(UsageError, match="not that of a CA"):
        Authority.from_pem(leaf.cert_pem, leaf.key_pem)


def own_authority(
    key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey, digest: SHA256 | None
) -> tuple[bytes, bytes]:
    """A CA as users bring it, without key ids."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "own")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=9))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, digest)
    )
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM), key_pem


def test_authority_that_the_user_brings() -> None:
    cert_pem, key_pem = own_authority(rsa.generate_private_key(65537, 2048), SHA256())
    leaf = issue(Authority.from_pem(cert_pem, key_pem))
    assert signed_by(leaf.cert_pem, cert_pem)
    found = read_certificate(leaf.cert_pem)
    assert found.authority_key_id
    assert found.not_after == NOW + timedelta(days=9)


def test_authority_with_a_key_that_does_not_sign_here() -> None:
    pair = own_authority(ed25519.Ed25519PrivateKey.generate(), None)
    with pytest.raises(UsageError, match="neither ECDSA nor RSA"):
        Authority.from_pem(*pair)
