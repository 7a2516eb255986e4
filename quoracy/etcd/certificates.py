"""The certificates of a host: made by the cluster's own CA, or read from the files given in the spec."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from quoracy.durable import locked, make_directory
from quoracy.errors import UsageError
from quoracy.etcd.checks_certificates import WantedCertificates
from quoracy.etcd.scripts import CERTIFICATE_ROLES, subject_names
from quoracy.etcd.spec import EtcdCluster, EtcdHost, TlsFiles
from quoracy.home import Home
from quoracy.pki.authority import CERTIFICATE_FILE, KEY_FILE, Authority
from quoracy.pki.inspect import key_matches, read_certificate

_ADVICE = "check tls.files in the cluster's spec"


def wanted_certificates(cluster: EtcdCluster, home: Home) -> WantedCertificates:
    """What this controller knows of the certificates that should lie on the hosts.

    Raises:
        UsageError: A given file cannot be read, or a key does not belong to its certificate.
    """
    files = cluster.tls.files
    if files is None:
        directory = home.pki / cluster.name
        whole = (directory / KEY_FILE).exists()
        ca = (directory / CERTIFICATE_FILE).read_bytes() if whole else None
        return WantedCertificates(ca=ca, given={})
    given = {}
    for host in cluster.hosts:
        pairs = _given(files, host)
        for role in CERTIFICATE_ROLES:
            given[host.name, role] = pairs[f"{role}.pem"]
            _require_pair(files, host, role, pairs)
    return WantedCertificates(ca=_read(files.ca), given=given)


def host_files(cluster: EtcdCluster, host: EtcdHost, home: Home, now: datetime) -> dict[str, bytes]:
    """Certificates and keys of one host by file name; new leaves when the CA is our own.

    Raises:
        UsageError: A given file cannot be read.
    """
    files = cluster.tls.files
    if files is not None:
        return {"ca.pem": _read(files.ca), **_given(files, host)}
    authority = own_authority(cluster, home, now)
    wanted: dict[str, bytes] = {"ca.pem": authority.cert_pem}
    for role in CERTIFICATE_ROLES:
        leaf = authority.issue(
            role,
            f"{host.name}-{role}",
            [] if role == "client" else subject_names(host),
            now,
            timedelta(days=cluster.tls.valid_days),
        )
        wanted |= {f"{role}.pem": leaf.cert_pem, f"{role}.key": leaf.key_pem}
    return wanted


def own_authority(cluster: EtcdCluster, home: Home, now: datetime) -> Authority:
    """The cluster's own CA, made at the first use; its key stays on the controller (mode 0600)."""
    directory = home.pki / cluster.name
    make_directory(directory)
    # Hosts are prepared side by side, and all of them need the same CA.
    with locked(directory / ".lock"):
        # The key is written last: without it, what lies there was cut off and has signed nothing.
        if (directory / KEY_FILE).exists():
            return Authority.load(directory)
        authority = Authority.create(f"etcd {cluster.name}", now)
        authority.save(directory)
        return authority


def _given(files: TlsFiles, host: EtcdHost) -> dict[str, bytes]:
    given = {}
    for role in CERTIFICATE_ROLES:
        given[f"{role}.pem"] = _read(_fill(files.certificate, host, role))
        given[f"{role}.key"] = _read(_fill(files.key, host, role))
    return given


def _require_pair(files: TlsFiles, host: EtcdHost, role: str, pairs: dict[str, bytes]) -> None:
    """Refuse a key of another certificate, and files that cannot be read as such.

    Raises:
        UsageError: Naming the file; never with text of a key.
    """
    where = _fill(files.certificate, host, role)
    try:
        read_certificate(pairs[f"{role}.pem"])
        where = _fill(files.key, host, role)
        fits = key_matches(pairs[f"{role}.pem"], pairs[f"{role}.key"])
    except UsageError as error:
        raise UsageError(error.what, where=where, next_step=error.next_step) from None
    if not fits:
        raise UsageError(
            "the key does not belong to the certificate", where=where, next_step=_ADVICE
        )


def _fill(pattern: str, host: EtcdHost, role: str) -> str:
    return pattern.replace("{host}", host.name).replace("{role}", role)


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot be read: {error.strerror}",
            where=path,
            next_step=_ADVICE,
        ) from None
