"""The certificates that the authority signs, field by field (RFC 5280)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from quoracy.errors import UsageError

SIGNATURE_HASH = SHA256()

# Hosts whose clock is behind the controller's would refuse a certificate as not yet valid, and a
# member that was just given one would lose its peers. Kubernetes' signers backdate as much.
CLOCK_SKEW = timedelta(minutes=5)

_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_DNS_NAME = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*")


def subject_name(common_name: str) -> x509.Name:
    """Return a subject of a common name alone.

    Raises:
        UsageError: It is not of 1 to 64 characters (RFC 5280, ub-common-name).
    """
    if not 1 <= len(common_name) <= 64:
        raise UsageError(
            "a common name has 1 to 64 characters",
            where=repr(common_name),
            next_step="shorten the name of the cluster or the member",
        )
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def general_names(sans: Sequence[str]) -> list[x509.GeneralName]:
    """Return addresses as IP names and the rest as DNS names, each once, in the given order.

    Raises:
        UsageError: One is neither.
    """
    return [_general_name(san) for san in dict.fromkeys(sans)]


def authority_builder(
    name: x509.Name, key: EllipticCurvePublicKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    """Describe a self-signed CA that signs leaves only, no further CA."""
    return (
        _dated(name, name, key, (now, until))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
    )


def leaf_builder(
    issuer: x509.Certificate,
    name: x509.Name,
    key: EllipticCurvePublicKey,
    dates: tuple[datetime, datetime],
    sans: Sequence[str],
    usages: Sequence[x509.ObjectIdentifier],
) -> x509.CertificateBuilder:
    """Describe a leaf under the issuer, valid from the first date (less `CLOCK_SKEW`) to the second."""
    builder = (
        _dated(name, issuer.subject, key, dates)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(_authority_key(issuer), critical=False)
    )
    if not sans:
        return builder
    names = x509.SubjectAlternativeName(general_names(sans))
    return builder.add_extension(names, critical=False)


def _dated(
    name: x509.Name,
    issuer: x509.Name,
    key: EllipticCurvePublicKey,
    dates: tuple[datetime, datetime],
) -> x509.CertificateBuilder:
    now, until = dates
    if now.tzinfo is None:
        raise ValueError("the time has no time zone")
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _authority_key(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """Point to the issuer's own key id, which a CA made elsewhere may have computed differently."""
    try:
        own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        key: CertificatePublicKeyTypes = issuer.public_key()
        return x509.AuthorityKeyIdentifier(
            x509.SubjectKeyIdentifier.from_public_key(key).digest, None, None
        )
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    """A CA signs certificates and revocation lists; a leaf with an ECDSA key signs handshakes."""
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,  # only RSA key exchange encrypts with it
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(san: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(san))
    except ValueError:
        # Digits and dots alone are a mistyped address, which no verifier would match as a name.
        if len(san) > 253 or not _DNS_NAME.fullmatch(san) or not re.search("[A-Za-z]", san):
            raise UsageError(
                f"{san!r} is neither an IP address nor a DNS name",
                next_step="correct the address of the host; IPv6 is written without brackets",
            ) from None
    return x509.DNSName(san)
