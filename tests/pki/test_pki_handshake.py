"""The authority's certificates, judged by cryptography's verifier and by OpenSSL in handshakes."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from quoracy.pki.authority import Authority, Leaf, Role

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
ROLES: tuple[Role, ...] = ("peer", "server", "client")


@pytest.fixture
def authority() -> Authority:
    return Authority.create("demo", NOW)


def issue(authority: Authority, role: Role = "peer", now: datetime = NOW) -> Leaf:
    return authority.issue(role, "demo-1", ["198.51.100.2", "demo-1.example"], now)


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
