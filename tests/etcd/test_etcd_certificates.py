"""Where a host's certificates come from: the cluster's own CA, or given files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from quoracy.errors import UsageError
from quoracy.etcd.certificates import host_files, wanted_certificates
from quoracy.etcd.checks_certificates import check_given
from quoracy.etcd.spec import EtcdCluster
from quoracy.home import Home
from quoracy.pki.authority import Authority, Role
from quoracy.pki.inspect import read_certificate, signed_by
from tests.etcd_factories import NOW, authority, spec

ROLES: tuple[Role, ...] = ("peer", "server", "client")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home", tmp_path / "cache", "sqlite:////nowhere")


def given_files(tmp_path: Path, signer: Authority) -> EtcdCluster:
    cluster = spec(
        tls={
            "files": {
                "ca": str(tmp_path / "ca.pem"),
                "certificate": str(tmp_path / "{host}-{role}.pem"),
                "key": str(tmp_path / "{host}-{role}.key"),
            }
        }
    )
    (tmp_path / "ca.pem").write_bytes(authority().cert_pem)
    for host in cluster.hosts:
        for role in ROLES:
            leaf = signer.issue(role, host.name, [host.address, "127.0.0.1"], NOW)
            (tmp_path / f"{host.name}-{role}.pem").write_bytes(leaf.cert_pem)
            (tmp_path / f"{host.name}-{role}.key").write_bytes(leaf.key_pem)
    return cluster


def test_an_own_ca_is_made_once_and_its_key_stays_private(home: Home) -> None:
    cluster = spec()
    first = host_files(cluster, cluster.hosts[0], home, NOW)
    second = host_files(cluster, cluster.hosts[1], home, NOW)
    assert first["ca.pem"] == second["ca.pem"]
    assert (home.pki / "demo" / "ca.key").stat().st_mode & 0o777 == 0o600
    assert not [name for name in first if name == "ca.key"]
    for role in ROLES:
        assert signed_by(first[f"{role}.pem"], first["ca.pem"])
    assert cluster.hosts[0].address in read_certificate(first["server.pem"]).sans
    assert wanted_certificates(cluster, home).ca == first["ca.pem"]


def test_given_files_are_taken_as_they_are(home: Home, tmp_path: Path) -> None:
    cluster = given_files(tmp_path, authority())
    files: Mapping[str, bytes] = host_files(cluster, cluster.hosts[2], home, NOW)
    assert files["peer.key"] == (tmp_path / "demo-3-peer.key").read_bytes()
    assert sorted(files) == sorted(
        ["ca.pem", *(f"{role}.{end}" for role in ROLES for end in ("pem", "key"))]
    )
    assert check_given(cluster, wanted_certificates(cluster, home), NOW) == []
    assert not home.pki.exists()


def test_a_given_key_of_another_certificate_is_refused_before_anything(
    home: Home, tmp_path: Path
) -> None:
    cluster = given_files(tmp_path, authority())
    (tmp_path / "demo-2-peer.key").write_bytes((tmp_path / "demo-1-peer.key").read_bytes())
    with pytest.raises(UsageError, match="does not belong to the certificate") as refusal:
        wanted_certificates(cluster, home)
    assert "demo-2-peer.key" in refusal.value.where


def test_a_given_file_that_is_missing_is_named(home: Home, tmp_path: Path) -> None:
    cluster = given_files(tmp_path, authority())
    (tmp_path / "demo-1-client.pem").unlink()
    with pytest.raises(UsageError, match="cannot be read") as refusal:
        wanted_certificates(cluster, home)
    assert refusal.value.where.endswith("demo-1-client.pem")


def test_given_certificates_of_another_ca_are_refused(home: Home, tmp_path: Path) -> None:
    cluster = given_files(tmp_path, Authority.create("other", NOW))
    verdicts = check_given(cluster, wanted_certificates(cluster, home), NOW)
    assert {verdict.reason for verdict in verdicts} == {"CertificatesDiffer"}
    assert len(verdicts) == 9


def test_a_ca_whose_writing_was_cut_off_before_its_key_is_made_anew(home: Home) -> None:
    directory = home.pki / "demo"
    directory.mkdir(parents=True)
    (directory / "ca.pem").write_bytes(authority().cert_pem)
    cluster = spec()
    assert wanted_certificates(cluster, home).ca is None
    files = host_files(cluster, cluster.hosts[0], home, NOW)
    assert files["ca.pem"] != authority().cert_pem
    assert wanted_certificates(cluster, home).ca == files["ca.pem"]
