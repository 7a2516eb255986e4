"""Certificates on a host: expiry, differences, what is missing. Real certificates, a given clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address
from typing import Literal

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from quoracy.etcd.checks_certificates import WantedCertificates, check_certificates, check_given
from quoracy.etcd.spec import EtcdCluster
from quoracy.operation.verdict import Verdict
from quoracy.pki.authority import Authority
from tests.etcd_factories import NOW, authority, certificates, running, spec, wanted_certificates

CLUSTER = spec()
HOST = CLUSTER.hosts[0]
LEAVES = ("peer.pem", "server.pem", "client.pem")


def check(
    pem: dict[str, bytes],
    wanted: WantedCertificates | None = None,
    *,
    keys: tuple[str, ...] = ("peer.key", "server.key", "client.key"),
    later: timedelta = timedelta(0),
) -> list[Verdict]:
    facts = replace(running(CLUSTER, HOST), certificates=pem, keys=frozenset(keys))
    return check_certificates(CLUSTER, HOST, facts, wanted or wanted_certificates(), NOW + later)


@pytest.mark.parametrize(
    ("days", "reason"),
    [
        (365, None),
        (91, None),
        (90, "CertificateExpiresSoon"),
        (31, "CertificateExpiresSoon"),
        (30, "CertificateExpiresVerySoon"),
        (1, "CertificateExpiresVerySoon"),
        (0, "CertificateExpired"),
        (-1, "CertificateExpired"),
    ],
)
def test_expiry(days: int, reason: str | None) -> None:
    found = check(aged(days))
    assert [v.reason for v in found] == ([reason] * 3 if reason else [])
    for verdict in found:
        assert verdict.stops == (days <= 0)
        assert verdict.where == "demo-1"
        assert "rotating certificates is not built yet" in verdict.next_step


def aged(days: int) -> dict[str, bytes]:
    """Leaves that have so many days left."""
    return certificates(HOST, days=500 + days, made_days_ago=500)


def test_expiry_is_loud_when_it_is_near() -> None:
    assert "peer.pem EXPIRES IN 7 DAYS, on 2026-11-28" in check(aged(7))[0].message


def test_not_yet_valid() -> None:
    found = check(certificates(HOST), later=timedelta(days=-1))
    assert {v.reason for v in found} == {"CertificateNotYetValid"}
    assert "clocks" in found[0].next_step


@pytest.mark.parametrize("name", ["ca.pem", *LEAVES])
def test_a_missing_certificate(name: str) -> None:
    pem = certificates(HOST)
    del pem[name]
    (found,) = check(pem)
    assert (found.reason, found.stops) == ("CertificatesMissing", True)
    assert name in found.message


def test_a_missing_key() -> None:
    (found,) = check(certificates(HOST), keys=("peer.key", "client.key"))
    assert found.reason == "CertificatesMissing"
    assert "server.key" in found.message


def test_another_ca() -> None:
    other = Authority.create("etcd other", NOW)
    found = check({**certificates(HOST), "ca.pem": other.cert_pem})
    assert [v.reason for v in found] == ["CertificatesDiffer"] * 4
    assert "ca.pem is not the cluster's CA" in found[0].message


def test_a_controller_without_the_ca_does_not_judge_it() -> None:
    assert check(certificates(HOST), WantedCertificates(ca=None, given={})) == []


@pytest.mark.parametrize("role", ["peer", "server"])
def test_a_name_that_is_not_covered(role: str) -> None:
    pem = certificates(HOST)
    pem[f"{role}.pem"] = certificates(HOST, sans=("demo-1", "127.0.0.1"))[f"{role}.pem"]
    (found,) = check(pem)
    assert found.reason == "CertificatesDiffer"
    assert found.message == f"{role}.pem does not cover 198.51.100.2"


def test_given_files_that_differ() -> None:
    pem = certificates(HOST)
    given = {("demo-1", role): pem[f"{role}.pem"] for role in ("peer", "server", "client")}
    same = WantedCertificates(ca=authority().cert_pem, given=given)
    assert check(pem, same) == []
    assert check(pem, replace(same, given={k: v + b"\n" for k, v in given.items()})) == []
    renewed = {**given, ("demo-1", "peer"): certificates(HOST, days=300)["peer.pem"]}
    (found,) = check(pem, replace(same, given=renewed))
    assert (found.reason, found.message) == ("CertificatesDiffer", "peer.pem is not the given file")


@pytest.mark.parametrize(
    "content", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAA==\n"]
)
def test_a_file_that_is_no_certificate(content: bytes) -> None:
    found = check({**certificates(HOST), "server.pem": content})
    assert "CertificateUnreadable" in [v.reason for v in found]
    assert all(v.stops for v in found)


def test_everything_is_told_of_uncompressed_ipv6_addresses_too() -> None:
    """`2001:DB8::1` and the certificate's `2001:db8::1` are one address."""
    hosts = [{"name": "demo-1", "address": "2001:DB8:0::1"}]
    cluster = EtcdCluster.model_validate({**spec(1).model_dump(), "hosts": hosts})
    host = cluster.hosts[0]
    facts = replace(running(cluster, host), certificates=certificates(host))
    assert check_certificates(cluster, host, facts, wanted_certificates(), NOW) == []


def given(**leaves: bytes) -> WantedCertificates:
    """Given files of demo-1; those named replace good ones."""
    pem = {role: certificates(HOST)[f"{role}.pem"] for role in ("peer", "server", "client")}
    found = {("demo-1", role): content for role, content in {**pem, **leaves}.items()}
    return WantedCertificates(ca=authority().cert_pem, given=found)


def leaf(role: Literal["peer", "server", "client"], days: int = 0, life: int = 300) -> bytes:
    made = NOW + timedelta(days=days)
    names = [HOST.address, "127.0.0.1"]
    return authority().issue(role, "demo-1", names, made, timedelta(days=life)).cert_pem


@pytest.mark.parametrize(
    ("wanted", "reason", "said"),
    [
        (given(server=leaf("server", -2, 1)), "CertificateExpired", "expired on 2026-11-20"),
        (given(server=leaf("server", 2)), "CertificateNotYetValid", "is valid from 2026-11-23"),
        (given(server=leaf("client")), "CertificatesDiffer", "may not be used for serverAuth"),
        (given(server=b"nothing"), "CertificateUnreadable", "the server certificate: it is not"),
        (replace(given(), ca=b"nothing"), "CertificateUnreadable", "tls.files.ca: it is not"),
    ],
)
def test_given_files_are_judged_before_a_create(
    wanted: WantedCertificates, reason: str, said: str
) -> None:
    (found,) = check_given(CLUSTER, wanted, NOW)
    assert (found.reason, found.stops) == (reason, True)
    assert said in found.message
    assert found.next_step


def test_a_client_certificate_needs_no_names_and_a_peer_needs_both_usages() -> None:
    assert check_given(CLUSTER, given(), NOW) == []
    (found,) = check_given(CLUSTER, given(peer=leaf("client")), NOW)
    assert found.message == "the peer certificate may not be used for serverAuth"


def test_a_given_ca_that_has_expired() -> None:
    later = NOW + timedelta(days=3652)
    found = check_given(CLUSTER, given(), later)
    assert found[0].message.startswith("tls.files.ca expired on")


def test_a_certificate_without_extended_usages_may_be_used_for_all() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "demo-1")])
    names = [x509.IPAddress(ip_address(one)) for one in (HOST.address, "127.0.0.1")]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=300))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    pem = certificate.public_bytes(Encoding.PEM)
    own = WantedCertificates(ca=pem, given={("demo-1", role): pem for role in ("peer", "client")})
    assert check_given(CLUSTER, own, NOW) == []
