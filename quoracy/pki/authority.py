"""The certificate authority of one cluster; its key never leaves the controller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from quoracy.durable import make_directory, write_file
from quoracy.errors import Refused, UsageError
from quoracy.pki.builder import (
    SIGNATURE_HASH,
    authority_builder,
    leaf_builder,
    subject_name,
)
from quoracy.pki.inspect import key_matches, parse_certificates, parse_key, read_certificate

Role = Literal["peer", "server", "client"]

CA_VALID_FOR = timedelta(days=3650)
LEAF_VALID_FOR = timedelta(days=365)

CERTIFICATE_FILE = "ca.pem"
KEY_FILE = "ca.key"

# A member is a server to one peer and a client to the next, so peers need both usages. etcd's HTTP
# gateway calls its own gRPC server with the server certificate: without clientAuth, /v3/* answers
# "certificate specifies an incompatible key usage" (seen with 3.5.30).
_USAGES = {
    "peer": (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
    "server": (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
    "client": (ExtendedKeyUsageOID.CLIENT_AUTH,),
}


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate and its private key (PKCS#8), both PEM."""

    cert_pem: bytes
    key_pem: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA that can sign; what it prints as holds no key.

    On disk it is the directory of its cluster below `Home.pki`: `ca.key` (0600) and `ca.pem`.
    """

    certificate: x509.Certificate
    _key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = field(repr=False)

    @classmethod
    def create(cls, name: str, now: datetime) -> Authority:
        """Make a new CA with a new key, valid for ten years.

        Args:
            name: Its common name.
            now: An aware time.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        builder = authority_builder(subject_name(name), key.public_key(), now, now + CA_VALID_FOR)
        return cls(builder.sign(key, SIGNATURE_HASH), key)

    @classmethod
    def from_pem(cls, cert_pem: bytes, key_pem: bytes) -> Authority:
        """Take a CA that was made before, here or elsewhere.

        Raises:
            UsageError: It cannot be read, may not sign, or the key is not that of the certificate.
        """
        certificate, key = parse_certificates(cert_pem)[0], parse_key(key_pem)
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise UsageError("the CA's key is neither ECDSA nor RSA", next_step="use another CA")
        if not key_matches(cert_pem, key_pem):
            raise UsageError(
                "the private key is not that of the CA's certificate",
                next_step="bring back the pair that belongs together from your backup",
            )
        if not read_certificate(cert_pem).is_ca:
            raise UsageError("the certificate is not that of a CA", next_step="use another one")
        return cls(certificate, key)

    @classmethod
    def load(cls, directory: Path) -> Authority:
        """Read the CA of a cluster.

        Raises:
            UsageError: There is none, or it cannot be used.
            Refused: Others than its owner may read the key.
        """
        key_file = directory / KEY_FILE
        try:
            if key_file.stat().st_mode & 0o077:
                raise Refused(
                    "others than its owner may read the key of the CA",
                    where=str(key_file),
                    next_step=f"run: chmod 600 {key_file}; make a new CA if it may have been read",
                )
            pair = (directory / CERTIFICATE_FILE).read_bytes(), key_file.read_bytes()
        except OSError as error:
            raise UsageError(
                f"the CA cannot be read: {error.strerror}",
                where=str(error.filename),
                next_step="bring it back from your backup; create makes one for a new cluster",
            ) from error
        try:
            return cls.from_pem(*pair)
        except UsageError as error:
            raise UsageError(error.what, where=str(directory), next_step=error.next_step) from error

    def save(self, directory: Path) -> None:
        """Write the CA of a cluster; the key last, so that a CA on disk is a whole one.

        Raises:
            Refused: Another CA is there: with its key, the certificates it signed would lose the
                one who can renew them.
            UsageError: The directory cannot be written.
        """
        try:
            make_directory(directory)
            directory.chmod(0o700)
            if (directory / KEY_FILE).exists():
                self._require_same(directory)
                return
            _move_aside(directory / CERTIFICATE_FILE)
            write_file(directory / CERTIFICATE_FILE, self.cert_pem, mode=0o644)
            write_file(directory / KEY_FILE, self.key_pem(), mode=0o600)
        except OSError as error:
            raise UsageError(
                f"the CA cannot be written: {error.strerror}",
                where=str(directory),
                next_step="check permissions and free space there",
            ) from error

    @property
    def cert_pem(self) -> bytes:
        """The certificate, which every host trusts."""
        return self.certificate.public_bytes(Encoding.PEM)

    def key_pem(self) -> bytes:
        """Return the private key (PKCS#8); it may lie in a file of mode 0600 or a secret block."""
        return _private_pem(self._key)

    def issue(
        self,
        role: Role,
        common_name: str,
        sans: Sequence[str],
        now: datetime,
        valid_for: timedelta = LEAF_VALID_FOR,
    ) -> Leaf:
        """Sign a certificate for a new key; it ends with the CA at the latest.

        Args:
            role: What it is for; it decides the extended key usages.
            common_name: The member, or etcd's user of a client.
            sans: DNS names and IP addresses; a peer and a server need at least one.
            now: An aware time.
            valid_for: Its life from `now` on.

        Raises:
            UsageError: A name cannot be in a certificate, or there is none.
            Refused: The CA has expired.
        """
        if role != "client" and not sans:
            raise UsageError(
                f"a {role} certificate without names is trusted by nobody",
                where=common_name,
                next_step="give the addresses that the member is reached at",
            )
        key = ec.generate_private_key(ec.SECP256R1())
        builder = leaf_builder(
            self.certificate,
            subject_name(common_name),
            key.public_key(),
            (now, min(now + valid_for, self._end(now))),
            sans,
            _USAGES[role],
        )
        certificate = builder.sign(self._key, SIGNATURE_HASH)
        return Leaf(certificate.public_bytes(Encoding.PEM), _private_pem(key))

    def _end(self, now: datetime) -> datetime:
        end = self.certificate.not_valid_after_utc
        if end <= now:
            raise Refused(
                f"the CA has expired at {end.isoformat()}",
                next_step="rotate the CA, then issue certificates",
            )
        return end

    def _require_same(self, directory: Path) -> None:
        if Authority.load(directory).certificate != self.certificate:
            raise Refused(
                "there is another CA already",
                where=str(directory),
                next_step="use it; to replace it, rotate the CA",
            )


def _move_aside(certificate_file: Path) -> None:
    """Keep a certificate without key: left by a killed `save`, or of a CA whose key is elsewhere."""
    if certificate_file.exists():
        number = sum(1 for _ in certificate_file.parent.glob(f"{CERTIFICATE_FILE}.*")) + 1
        certificate_file.rename(certificate_file.with_name(f"{CERTIFICATE_FILE}.{number}"))


def _private_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
