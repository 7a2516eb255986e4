"""The authority, judged by inspect, by cryptography's own verifier and by OpenSSL in a handshake."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from quoracy.errors import Refused, UsageError
from quoracy.pki.authority import CA_VALID_FOR, LEAF_VALID_FOR, Authority, Leaf, Role
from quoracy.pki.inspect import key_matches, read_certificate, signed_by

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
SKEW = timedelta(minutes=5)
ROLES: tuple[Role, ...] = ("peer", "server", "client")


@pytest.fixture
def authority() -> Authority:
    return Authority.create("demo", NOW)


def issue(authority: Authority, role: Role = "peer", now: datetime = NOW) -> Leaf:
    return authority.issue(role, "demo-1", ["198.51.100.2", "demo-1.example"], now)


def test_authority_signs_leaves_and_nothing_else(authority: Authority) -> None:
    found = read_certificate(authority.cert_pem)
    assert found.subject_cn == "demo"
    assert found.is_ca
    assert found.usages == {"keyCertSign", "cRLSign"}
    assert (found.not_before, found.not_after) == (NOW - SKEW, NOW + CA_VALID_FOR)
    assert found.subject_key_id
    constraints = authority.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value.path_length == 0
    assert signed_by(authority.cert_pem, authority.cert_pem)


@pytest.mark.parametrize(
    ("role", "extended"),
    [
        ("peer", {"serverAuth", "clientAuth"}),
        ("server", {"serverAuth", "clientAuth"}),
        ("client", {"clientAuth"}),
    ],
)
def test_leaf_of_each_role(authority: Authority, role: Role, extended: set[str]) -> None:
    leaf = issue(authority, role)
    found = read_certificate(leaf.cert_pem)
    assert found.usages == {"digitalSignature"} | extended
    assert not found.is_ca
    assert found.subject_cn == "demo-1"
    assert found.sans == ("198.51.100.2", "demo-1.example")
    assert (found.not_before, found.not_after) == (NOW - SKEW, NOW + LEAF_VALID_FOR)
    assert found.authority_key_id == read_certificate(authority.cert_pem).subject_key_id
    assert found.subject_key_id not in (None, found.authority_key_id)
    assert signed_by(leaf.cert_pem, authority.cert_pem)
    assert key_matches(leaf.cert_pem, leaf.key_pem)


def test_leaf_extensions_that_verifiers_must_understand(authority: Authority) -> None:
    leaf = x509.load_pem_x509_certificate(issue(authority).cert_pem)
    critical = {each.oid._name for each in leaf.extensions if each.critical}
    assert critical == {"basicConstraints", "keyUsage"}


def test_keys_are_p256_and_never_twice_the_same(authority: Authority) -> None:
    keys = [issue(authority).key_pem, issue(authority).key_pem, authority.key_pem()]
    assert len(set(keys)) == 3
    for pem in keys:
        key = load_pem_private_key(pem, password=None)
        assert isinstance(key, EllipticCurvePrivateKey)
        assert isinstance(key.curve, SECP256R1)


def test_sans_are_addresses_or_names_each_once(authority: Authority) -> None:
    sans = ["::1", "localhost", "198.51.100.2", "*.demo.example", "localhost", "2001:db8:0::1"]
    leaf = authority.issue("server", "demo-1", sans, NOW)
    found = x509.load_pem_x509_certificate(leaf.cert_pem).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert list(found.value) == [
        x509.IPAddress(ip_address("::1")),
        x509.DNSName("localhost"),
        x509.IPAddress(ip_address("198.51.100.2")),
        x509.DNSName("*.demo.example"),
        x509.IPAddress(ip_address("2001:db8::1")),
    ]
    assert read_certificate(leaf.cert_pem).sans[-1] == "2001:db8::1"


@pytest.mark.parametrize(
    "san",
    [
        "",
        " ",
        "a b",
        "[::1]",
        "198.51.100.256",
        "10.0.0",
        "a..b",
        "-a",
        "münchen",
        "a/b",
        "a" * 64,
        ".".join(["a" * 60] * 5),
        "198.51.100.2:2379",
        "*",
        "a.*.b",
    ],
)
def test_names_that_no_certificate_can_hold(authority: Authority, san: str) -> None:
    with pytest.raises(UsageError, match="neither an IP address nor a DNS name"):
        authority.issue("peer", "demo-1", [san], NOW)


@pytest.mark.parametrize("role", ["peer", "server"])
def test_servers_need_a_name(authority: Authority, role: Role) -> None:
    with pytest.raises(UsageError, match="without names"):
        authority.issue(role, "demo-1", [], NOW)


def test_clients_need_none(authority: Authority) -> None:
    leaf = authority.issue("client", "root", [], NOW)
    assert read_certificate(leaf.cert_pem).sans == ()


@pytest.mark.parametrize("name", ["", "x" * 65])
def test_common_names_of_impossible_length(authority: Authority, name: str) -> None:
    with pytest.raises(UsageError, match="1 to 64"):
        authority.issue("client", name, [], NOW)
    with pytest.raises(UsageError, match="1 to 64"):
        Authority.create(name, NOW)


def test_life_of_a_leaf_is_chosen_and_ends_with_the_authority(authority: Authority) -> None:
    short = authority.issue("client", "x", [], NOW, timedelta(hours=1))
    assert read_certificate(short.cert_pem).not_after == NOW + timedelta(hours=1)
    late = issue(authority, now=NOW + CA_VALID_FOR - timedelta(days=30))
    assert read_certificate(late.cert_pem).not_after == NOW + CA_VALID_FOR


def test_expired_authority_issues_nothing(authority: Authority) -> None:
    with pytest.raises(Refused, match="has expired") as caught:
        issue(authority, now=NOW + CA_VALID_FOR)
    assert "rotate the CA" in caught.value.next_step


def test_time_zones(authority: Authority) -> None:
    there = NOW.astimezone(timezone(timedelta(hours=9)))
    assert read_certificate(issue(authority, now=there).cert_pem).not_before == NOW - SKEW
    with pytest.raises(ValueError, match="no time zone"):
        Authority.create("demo", NOW.replace(tzinfo=None))


def verifier(authority: Authority) -> PolicyBuilder:
    return PolicyBuilder().store(Store([authority.certificate])).time(NOW)


def test_verifier_accepts_the_chain_and_refuses_another_authority(authority: Authority) -> None:
    leaf = x509.load_pem_x509_certificate(issue(authority).cert_pem)
    other = Authority.create("demo", NOW)  # the same name: only the key tells them apart
    subject = x509.IPAddress(ip_address("198.51.100.2"))
    assert verifier(authority).build_client_verifier().verify(leaf, [])
    assert verifier(authority).build_server_verifier(subject).verify(leaf, [])
    with pytest.raises(VerificationError):
        verifier(other).build_server_verifier(subject).verify(leaf, [])
    with pytest.raises(VerificationError):
        verifier(other).build_client_verifier().verify(leaf, [])


def test_verifier_refuses_a_client_leaf_as_server(authority: Authority) -> None:
    leaf = x509.load_pem_x509_certificate(issue(authority, "client").cert_pem)
    with pytest.raises(VerificationError):
        verifier(authority).build_server_verifier(x509.DNSName("demo-1.example")).verify(leaf, [])


def context(purpose: int, authority: Authority, leaf: Leaf, folder: Path) -> ssl.SSLContext:
    made = ssl.SSLContext(purpose)
    made.verify_mode = ssl.CERT_REQUIRED
    made.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    made.load_verify_locations(cadata=authority.cert_pem.decode())
    pair = folder / "pair.pem"
    pair.write_bytes(leaf.cert_pem + leaf.key_pem)
    made.load_cert_chain(pair)
    return made


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """Connect both over a socket pair; raises what the client, or the server, says."""
    near, far = socket.socketpair()
    errors: list[OSError] = []

    def serve() -> None:
        try:
            with server.wrap_socket(far, server_side=True) as connection:
                connection.sendall(connection.recv(1))
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(near, server_hostname=name) as connection:
            connection.sendall(b"x")
            assert connection.recv(1) == b"x"
    finally:
        near.close()
        thread.join()
        far.close()
    assert not errors


@pytest.mark.parametrize("client_role", ROLES)
def test_mutual_handshake(tmp_path: Path, client_role: Role) -> None:
    authority = Authority.create("demo", datetime.now(UTC))
    now = datetime.now(UTC)
    server = context(ssl.PROTOCOL_TLS_SERVER, authority, issue(authority, "server", now), tmp_path)
    leaf = issue(authority, client_role, now)
    client = context(ssl.PROTOCOL_TLS_CLIENT, authority, leaf, tmp_path)
    handshake(server, client, "198.51.100.2")
    handshake(server, client, "demo-1.example")
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        handshake(server, client, "198.51.100.3")


def test_handshake_with_a_leaf_of_another_authority(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    authority, other = Authority.create("demo", now), Authority.create("demo", now)
    server = context(ssl.PROTOCOL_TLS_SERVER, authority, issue(other, "server", now), tmp_path)
    client = context(ssl.PROTOCOL_TLS_CLIENT, authority, issue(authority, now=now), tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, client, "198.51.100.2")


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


def test_no_key_is_printed(authority: Authority) -> None:
    leaf = issue(authority)
    for shown in (repr(authority), str(authority), repr(leaf), f"{leaf}"):
        assert "PRIVATE" not in shown
        assert "key" not in shown.lower()
