"""What inspect reads, also from certificates that are not ours."""

from __future__ import annotations

import hashlib
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from quoracy.errors import UsageError
from quoracy.pki.authority import Authority
from quoracy.pki.inspect import key_matches, read_certificate, signed_by

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("demo", NOW)


@pytest.fixture(scope="module")
def leaf_pem(authority: Authority) -> bytes:
    return authority.issue("peer", "demo-1", ["198.51.100.2"], NOW).cert_pem


def foreign(*extensions: x509.ExtensionType, subject: str = "") -> bytes:
    """A self-signed certificate with these extensions only."""
    key = ec.generate_private_key(ec.SECP384R1())
    names = [x509.NameAttribute(NameOID.COMMON_NAME, subject)] if subject else []
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(names))
        .issuer_name(x509.Name(names))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


def test_fingerprint_and_key_digest_are_those_of_other_tools(leaf_pem: bytes) -> None:
    found = read_certificate(leaf_pem)
    der = ssl.PEM_cert_to_DER_cert(leaf_pem.decode())
    assert found.fingerprint == hashlib.sha256(der).hexdigest()
    assert len(found.public_key_digest) == 64
    assert found.public_key_digest != found.fingerprint


def test_each_leaf_has_a_key_of_its_own(authority: Authority) -> None:
    first, second = (authority.issue("peer", "demo-1", ["a"], NOW) for _ in range(2))
    digests = {read_certificate(each.cert_pem).public_key_digest for each in (first, second)}
    assert len(digests) == 2
    assert key_matches(first.cert_pem, first.key_pem)
    assert not key_matches(first.cert_pem, second.key_pem)


def test_certificate_that_says_nothing() -> None:
    found = read_certificate(foreign())
    assert found.subject_cn == ""
    assert (found.sans, found.usages, found.is_ca) == ((), frozenset(), False)
    assert (found.subject_key_id, found.authority_key_id) == (None, None)
    assert (found.not_before, found.not_after) == (NOW, NOW + timedelta(days=1))


def test_usages_and_names_of_other_kinds() -> None:
    names = [x509.RFC822Name("a@example.org"), x509.DNSName("a.example")]
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, x509.ObjectIdentifier("1.2.3.4")]
    found = read_certificate(
        foreign(x509.SubjectAlternativeName(names), x509.ExtendedKeyUsage(usages), subject="x")
    )
    assert found.sans == ("a.example",)
    assert found.usages == {"clientAuth", "1.2.3.4"}
    assert found.subject_cn == "x"


def test_signature_counts_not_the_name(authority: Authority, leaf_pem: bytes) -> None:
    namesake = Authority.create("demo", NOW)
    assert signed_by(leaf_pem, authority.cert_pem)
    assert not signed_by(leaf_pem, namesake.cert_pem)


def test_bundle_signs_when_one_of_it_does(authority: Authority, leaf_pem: bytes) -> None:
    other, third = Authority.create("demo", NOW), Authority.create("third", NOW)
    assert signed_by(leaf_pem, third.cert_pem + other.cert_pem + authority.cert_pem)
    assert not signed_by(leaf_pem, third.cert_pem + other.cert_pem)


def test_changed_certificate_is_not_signed(authority: Authority, leaf_pem: bytes) -> None:
    der = bytearray(ssl.PEM_cert_to_DER_cert(leaf_pem.decode()))
    at = der.index(b"demo-1")
    der[at : at + 6] = b"demo-2"
    changed = ssl.DER_cert_to_PEM_cert(bytes(der)).encode()
    assert read_certificate(changed).subject_cn == "demo-2"
    assert not signed_by(changed, authority.cert_pem)


def test_certificate_that_may_not_sign_signs_nothing() -> None:
    plain = foreign(subject="self")
    assert not signed_by(plain, plain)
    ca = foreign(x509.BasicConstraints(ca=True, path_length=None), subject="self")
    assert signed_by(ca, ca)


def test_first_of_a_chain_is_read(authority: Authority, leaf_pem: bytes) -> None:
    assert read_certificate(leaf_pem + authority.cert_pem).subject_cn == "demo-1"


BAD = [
    b"",
    b"not a certificate",
    b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
    b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    b"\xff\xfe\x00",
]


@pytest.mark.parametrize("bad", BAD)
def test_malformed_certificates(bad: bytes, authority: Authority, leaf_pem: bytes) -> None:
    for read in (
        lambda: read_certificate(bad),
        lambda: signed_by(bad, authority.cert_pem),
        lambda: signed_by(leaf_pem, bad),
        lambda: key_matches(bad, authority.key_pem()),
    ):
        with pytest.raises(UsageError, match="not a certificate that can be read"):
            read()


@pytest.mark.parametrize("bad", BAD)
def test_malformed_keys(bad: bytes, leaf_pem: bytes) -> None:
    with pytest.raises(UsageError, match="not a private key that can be read"):
        key_matches(leaf_pem, bad)


def test_certificate_cut_short(leaf_pem: bytes) -> None:
    for end in range(0, len(leaf_pem) - 1, 7):
        with pytest.raises(UsageError):
            read_certificate(leaf_pem[:end])


def test_damaged_extension(leaf_pem: bytes) -> None:
    der = ssl.PEM_cert_to_DER_cert(leaf_pem.decode())
    san = b"\x30\x06\x87\x04\xc6\x33\x64\x02"  # SEQUENCE { iPAddress 198.51.100.2 }
    assert der.count(san) == 1
    damaged = der.replace(san, b"\x30\x06\x87\x05\xc6\x33\x64\x02")
    with pytest.raises(UsageError, match="not a certificate that can be read"):
        read_certificate(ssl.DER_cert_to_PEM_cert(damaged).encode())
