"""What the authority puts into certificates, read back by inspect."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
)

from quoracy.errors import Refused, UsageError
from quoracy.pki.authority import CA_VALID_FOR, LEAF_VALID_FOR, Authority, Leaf, Role
from quoracy.pki.inspect import key_matches, read_certificate, signed_by

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
SKEW = timedelta(minutes=5)


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


def test_no_key_is_printed(authority: Authority) -> None:
    leaf = issue(authority)
    for shown in (repr(authority), str(authority), repr(leaf), f"{leaf}"):
        assert "PRIVATE" not in shown
        assert "key" not in shown.lower()
