"""What certificates say. Pure: reads no file and no clock."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificatePublicKeyTypes,
    PrivateKeyTypes,
    PublicKeyTypes,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from quoracy.errors import UsageError

_Kind = TypeVar("_Kind", bound=x509.ExtensionType)

# Names of RFC 5280, sections 4.2.1.3 and 4.2.1.12.
_KEY_USAGES = {
    "digitalSignature": "digital_signature",
    "contentCommitment": "content_commitment",
    "keyEncipherment": "key_encipherment",
    "dataEncipherment": "data_encipherment",
    "keyAgreement": "key_agreement",
    "keyCertSign": "key_cert_sign",
    "cRLSign": "crl_sign",
}
_EXTENDED_USAGES = {
    ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth",
    ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth",
}


@dataclass(frozen=True, slots=True)
class Certificate:
    """What one certificate says; digests and key ids are lower-case hexadecimal.

    Args:
        subject_cn: The subject's common name; empty when it has none.
        sans: DNS names and IP addresses of the subject alternative name, in its order.
        not_before: UTC.
        not_after: UTC.
        fingerprint: sha256 of the certificate (DER).
        subject_key_id: Of its own key; None when it does not say.
        authority_key_id: Of the key that signed it; None when it does not say.
        is_ca: Whether it may sign certificates (basic constraints).
        usages: Key usages and extended key usages by their names in RFC 5280; an extended usage
            without a name here by its dotted number.
        public_key_digest: sha256 of the public key (SubjectPublicKeyInfo, DER).
    """

    subject_cn: str
    sans: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    fingerprint: str
    subject_key_id: str | None
    authority_key_id: str | None
    is_ca: bool
    usages: frozenset[str]
    public_key_digest: str


@lru_cache(maxsize=256)  # a plan reads each of them several times, and is made after every member
def read_certificate(pem: bytes) -> Certificate:
    """Return what the first certificate of a PEM file says (a leaf file may hold its chain).

    Raises:
        UsageError: It is not a certificate that can be read.
    """
    certificate = parse_certificates(pem)[0]
    try:
        return _read(certificate)
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise _malformed("certificate", error) from error


@lru_cache(maxsize=256)
def signed_by(cert_pem: bytes, ca_pem: bytes) -> bool:
    """Tell whether a CA of `ca_pem` (one certificate, or a bundle) signed the first certificate.

    The signature itself is verified, not only names and key ids; the dates are not looked at.

    Raises:
        UsageError: One of them is not a certificate that can be read.
    """
    certificate = parse_certificates(cert_pem)[0]
    return any(_issued_by(certificate, ca) for ca in parse_certificates(ca_pem))


def key_matches(cert_pem: bytes, key_pem: bytes) -> bool:
    """Tell whether the private key is that of the first certificate.

    Raises:
        UsageError: One of them cannot be read; the text of the key is not part of the message.
    """
    wanted = public_key(parse_certificates(cert_pem)[0])
    return _spki(wanted) == _spki(parse_key(key_pem).public_key())


def parse_certificates(pem: bytes) -> list[x509.Certificate]:
    """Return the certificates of a PEM file, at least one.

    Raises:
        UsageError: It holds none, or one that cannot be read.
    """
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise _malformed("certificate", error) from error


def parse_key(pem: bytes) -> PrivateKeyTypes:
    """Return the private key of a PEM file.

    Raises:
        UsageError: It holds none that can be read, or one under a passphrase.
    """
    try:
        return load_pem_private_key(pem, password=None)
    except TypeError:
        raise UsageError(
            "the private key is under a passphrase",
            next_step="remove the passphrase; hosts must start members without being asked",
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        # Not chained: what the parser says may quote from the key.
        raise UsageError(
            "it is not a private key that can be read", next_step="give a PEM file (PKCS#8, SEC 1)"
        ) from None


def public_key(certificate: x509.Certificate) -> CertificatePublicKeyTypes:
    """Return the key of a certificate.

    Raises:
        UsageError: It is of a kind that cannot be read.
    """
    try:
        return certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _malformed("certificate", error) from error


def _read(certificate: x509.Certificate) -> Certificate:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    subject_key = _extension(certificate, x509.SubjectKeyIdentifier)
    authority_key = _extension(certificate, x509.AuthorityKeyIdentifier)
    authority_id = authority_key.key_identifier if authority_key else None
    return Certificate(
        subject_cn=str(names[0].value) if names else "",
        sans=_sans(certificate),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        fingerprint=certificate.fingerprint(SHA256()).hex(),
        subject_key_id=subject_key.digest.hex() if subject_key else None,
        authority_key_id=authority_id.hex() if authority_id else None,
        is_ca=_is_ca(certificate),
        usages=frozenset(_usages(certificate)),
        public_key_digest=hashlib.sha256(_spki(public_key(certificate))).hexdigest(),
    )


def _extension(certificate: x509.Certificate, kind: type[_Kind]) -> _Kind | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _is_ca(certificate: x509.Certificate) -> bool:
    constraints = _extension(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def _sans(certificate: x509.Certificate) -> tuple[str, ...]:
    names = _extension(certificate, x509.SubjectAlternativeName)
    kinds = (x509.DNSName, x509.IPAddress)
    return tuple(str(name.value) for name in names or () if isinstance(name, kinds))


def _usages(certificate: x509.Certificate) -> Iterator[str]:
    key_usage = _extension(certificate, x509.KeyUsage)
    if key_usage is not None:
        yield from (name for name, flag in _KEY_USAGES.items() if getattr(key_usage, flag))
    for usage in _extension(certificate, x509.ExtendedKeyUsage) or ():
        yield _EXTENDED_USAGES.get(usage, usage.dotted_string)


def _issued_by(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(ca)
        return _is_ca(ca)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        # ValueError: another issuer name or algorithm; TypeError: a key that cannot sign.
        return False


def _spki(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _malformed(what: str, error: Exception) -> UsageError:
    return UsageError(
        f"it is not a {what} that can be read: {error}",
        next_step="give a PEM file that begins with -----BEGIN CERTIFICATE-----",
    )
