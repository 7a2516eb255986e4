"""Are the certificates on the hosts the wanted ones, and for how long? A deploy never rotates them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from quoracy.errors import UsageError
from quoracy.etcd.facts import EtcdHostFacts
from quoracy.etcd.scripts import CERTIFICATE_ROLES
from quoracy.etcd.spec import EtcdCluster, EtcdHost
from quoracy.operation.verdict import Verdict, failed, warned
from quoracy.pki.inspect import Certificate, read_certificate, signed_by

WARN_DAYS, LOUD_DAYS = 90, 30
# etcd's HTTP gateway calls its own member with the server certificate, so that one is a client's, too.
USAGES = {
    "peer": {"serverAuth", "clientAuth"},
    "server": {"serverAuth", "clientAuth"},
    "client": {"clientAuth"},
}
_OTHER_FILES = "give other files in tls.files of the spec"
_EXTENDED = {"serverAuth", "clientAuth"}
_ANY_USAGE = "2.5.29.37.0"  # anyExtendedKeyUsage, RFC 5280 section 4.2.1.12


@dataclass(frozen=True, slots=True)
class WantedCertificates:
    """What the controller knows of the certificates that should be there.

    Attributes:
        ca: The trusted CA; None when this controller does not hold the cluster's own CA.
        given: PEM by (host, role) when the user gives the files; else empty.
    """

    ca: bytes | None
    given: Mapping[tuple[str, str], bytes]


def check_certificates(
    cluster: EtcdCluster,
    host: EtcdHost,
    facts: EtcdHostFacts,
    wanted: WantedCertificates,
    now: datetime,
) -> list[Verdict]:
    """Verdicts on the certificates of one host that already carries a member."""
    rotate = f"put the right files into {cluster.config_dir}/tls by hand; rotating certificates is not built yet"
    verdicts: list[Verdict] = []
    files = {f"{role}.pem": role for role in CERTIFICATE_ROLES}
    missing = [n for n in ("ca.pem", *files) if n not in facts.certificates]
    missing += [f"{r}.key" for r in CERTIFICATE_ROLES if f"{r}.key" not in facts.keys]
    if missing:
        return [
            failed(
                "CertificatesMissing",
                f"{', '.join(missing)} not found in {cluster.config_dir}/tls",
                where=host.name,
                next_step=rotate,
            )
        ]
    verdicts += _differences(host, facts, wanted, rotate)
    for name in ("ca.pem", *files):
        try:
            certificate = read_certificate(facts.certificates[name])
        except UsageError as error:
            verdicts.append(
                failed(
                    "CertificateUnreadable",
                    f"{name}: {error.what}",
                    where=host.name,
                    next_step=rotate,
                )
            )
            continue
        verdicts += _expiry(name, certificate, host.name, now, rotate)
    return verdicts


def check_given(cluster: EtcdCluster, wanted: WantedCertificates, now: datetime) -> list[Verdict]:
    """Verdicts on the files that a new cluster is to be created with."""
    if not wanted.given:
        return []
    try:
        ca = read_certificate(wanted.ca or b"")
    except UsageError as error:
        wrong = f"tls.files.ca: {error.what}"
        return [failed("CertificateUnreadable", wrong, next_step=_OTHER_FILES)]
    verdicts = _expiry("tls.files.ca", ca, "", now, _OTHER_FILES)
    for (name, role), pem in wanted.given.items():
        verdicts += _given_leaf(cluster.host(name), role, pem, wanted.ca or b"", now)
    return verdicts


def _given_leaf(
    host: EtcdHost, role: str, pem: bytes, ca: bytes, now: datetime
) -> Iterator[Verdict]:
    what = f"the {role} certificate"
    try:
        certificate = read_certificate(pem)
    except UsageError as error:
        yield failed(
            "CertificateUnreadable",
            f"{what}: {error.what}",
            where=host.name,
            next_step=_OTHER_FILES,
        )
        return
    wrong = []
    if not _signed(pem, ca):
        wrong.append(f"{what} is not signed by tls.files.ca")
    if absent := _uncovered(host, role, pem):
        wrong.append(f"{what} does not cover {', '.join(absent)}")
    if lacking := _lacking_usages(role, certificate):
        wrong.append(f"{what} may not be used for {' and '.join(lacking)}")
    for one in wrong:
        yield failed("CertificatesDiffer", one, where=host.name, next_step=_OTHER_FILES)
    yield from _expiry(what, certificate, host.name, now, _OTHER_FILES)


def _lacking_usages(role: str, certificate: Certificate) -> list[str]:
    """Extended key usages that the role needs; a certificate that names none may be used for all."""
    named = {one for one in certificate.usages if one in _EXTENDED or one[0].isdigit()}
    if not named or _ANY_USAGE in named:
        return []
    return sorted(USAGES[role] - named)


def _uncovered(host: EtcdHost, role: str, pem: bytes) -> list[str]:
    """Names under which the member is reached and that the certificate does not cover."""
    # etcdctl on the host itself reaches its member on loopback.
    used = {"peer": {host.peer}, "server": {host.address, "127.0.0.1"}, "client": set()}
    return sorted(used[role] - set(read_certificate(pem).sans))


def _differences(
    host: EtcdHost,
    facts: EtcdHostFacts,
    wanted: WantedCertificates,
    rotate: str,
) -> list[Verdict]:
    """What lies on the host, beside what the controller wants there."""
    found = facts.certificates
    differing: list[str] = []
    if wanted.ca is not None and wanted.ca.strip() != found["ca.pem"].strip():
        differing.append("ca.pem is not the cluster's CA")
    for role in CERTIFICATE_ROLES:
        pem = found[f"{role}.pem"]
        given = wanted.given.get((host.name, role))
        if given is not None and given.strip() != pem.strip():
            differing.append(f"{role}.pem is not the given file")
        elif not _signed(pem, found["ca.pem"]):
            differing.append(f"{role}.pem is not signed by the host's ca.pem")
        elif absent := _uncovered(host, role, pem):
            differing.append(f"{role}.pem does not cover {', '.join(absent)}")
    return [
        failed("CertificatesDiffer", one, where=host.name, next_step=rotate) for one in differing
    ]


def _signed(pem: bytes, ca: bytes) -> bool:
    try:
        return signed_by(pem, ca)
    except UsageError:
        return False


def _expiry(
    name: str, certificate: Certificate, host: str, now: datetime, rotate: str
) -> list[Verdict]:
    left = certificate.not_after - now
    day = f"{certificate.not_after:%Y-%m-%d}"
    if left <= timedelta(0):
        return [
            failed("CertificateExpired", f"{name} expired on {day}", where=host, next_step=rotate)
        ]
    if certificate.not_before > now:
        return [
            failed(
                "CertificateNotYetValid",
                f"{name} is valid from {certificate.not_before:%Y-%m-%d %H:%M} UTC on",
                where=host,
                next_step="check the clocks of controller and host",
            )
        ]
    if left <= timedelta(days=LOUD_DAYS):
        message = f"{name} EXPIRES IN {left.days} DAYS, on {day}"
        return [warned("CertificateExpiresVerySoon", message, where=host, next_step=rotate)]
    if left <= timedelta(days=WARN_DAYS):
        message = f"{name} expires in {left.days} days, on {day}"
        return [warned("CertificateExpiresSoon", message, where=host, next_step=rotate)]
    return []
