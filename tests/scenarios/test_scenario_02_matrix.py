"""The requirement's matrix on real hosts, and what a deploy finds in certificates and binaries there."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from quoracy.errors import Refused
from quoracy.etcd.params import Action
from quoracy.etcd.scripts import subject_names
from quoracy.operation.verdict import Status
from quoracy.pki.authority import Authority
from tests.scenarios.scenario_site import Site, advice, members, reasons, warnings
from tests.scenarios.shared_matrix import TUNED, MatrixScenario

pytestmark = pytest.mark.lab


class TestMatrix(MatrixScenario):
    """The matrix, on real hosts."""


@contextmanager
def replaced_binary(site: Site) -> Iterator[None]:
    """Another file of the same content at the link: what runs is no longer what lies there."""
    path = "/opt/etcd/3.4.23/etcd"
    site.everywhere(f"cp -a {path} {path}.same; mv {path} {path}.kept; mv {path}.same {path}")
    try:
        yield
    finally:
        site.everywhere(f"mv -f {path}.kept {path}")


@contextmanager
def leaves(
    site: Site, hosts: tuple[str, ...], authority: Authority, left: timedelta
) -> Iterator[None]:
    """Other leaves in place of the hosts' own, with so much time left; the old ones come back."""
    tls, now = f"/etc/etcd/{site.name}/tls", datetime.now(UTC)
    start = min(now, now + left) - timedelta(days=1)
    for name in hosts:
        host = site.cluster.host(name)
        lines = [f"cp -a {tls} {tls}.kept"]
        for role in ("peer", "server", "client"):
            sans = [] if role == "client" else list(subject_names(host))
            leaf = authority.issue(role, f"{name}-{role}", sans, start, now + left - start)
            for suffix, content in (("pem", leaf.cert_pem), ("key", leaf.key_pem)):
                encoded = base64.b64encode(content).decode()
                # Written in place: owner and mode stay.
                lines.append(f"echo {encoded} | base64 -d > {tls}/{role}.{suffix}")
        site.shell(name, "\n".join(lines))
    try:
        yield
    finally:
        for name in hosts:
            site.shell(name, f"rm -rf {tls}; mv {tls}.kept {tls}")


def issuing(site: Site) -> Authority:
    return Authority.load(site.home.pki / site.name)


class TestFilesOnTheHosts:
    """These tests touch the files themselves, and put them back."""

    @pytest.fixture(autouse=True)
    def spec_as_it_runs(self, site: Site) -> Iterator[None]:
        yield
        site.back()

    @pytest.mark.parametrize("wanted", [{"action": Action.UPGRADE}, {}])
    @pytest.mark.parametrize(
        ("days", "reason"),
        [(60, "CertificateExpiresSoon"), (20, "CertificateExpiresVerySoon")],
    )
    def test_near_expiry_is_a_warning_that_names_the_command(
        self, site: Site, days: int, reason: str, wanted
    ) -> None:
        host = site.hosts[1]
        with leaves(site, (host,), issuing(site), timedelta(days=days, hours=1)):
            plan = site.plan(**wanted)
        told = [v for v in plan.verdicts if v.reason == reason]
        assert {v.where for v in told} == {host}
        assert {v.message.split()[0] for v in told} == {"peer.pem", "server.pem", "client.pem"}
        assert all(v.status is Status.WARN and f"{days} " in v.message for v in told)
        assert all("rotating certificates is not built yet" in v.next_step for v in told)
        assert plan.kind == "nothing"
        assert not plan.refused

    def test_far_from_expiry_nothing_is_said(self, site: Site) -> None:
        with leaves(site, site.hosts[:1], issuing(site), timedelta(days=120)):
            plan = site.plan()
        assert not {one for one in warnings(plan) if one.startswith("Certificate")}

    @pytest.mark.parametrize(
        ("wanted", "all_hosts"), [({"action": Action.UPGRADE}, False), ({}, True)]
    )
    def test_expired_is_refused_with_the_command_named(
        self, site: Site, wanted, all_hosts: bool
    ) -> None:
        hosts = site.hosts if all_hosts else site.hosts[2:]
        before = site.watch.restarts()
        site.apply(etcd=TUNED)
        with leaves(site, hosts, issuing(site), -timedelta(days=3)), pytest.raises(Refused) as told:
            site.deploy(**wanted)
        site.back()
        for host in hosts:
            for role in ("peer", "server", "client"):
                assert f"{host}: {role}.pem expired" in told.value.what
        assert "rotating certificates is not built yet" in told.value.next_step
        assert site.watch.restarts() == before

    def test_certificates_of_another_authority_are_refused_with_the_command_named(
        self, site: Site
    ) -> None:
        stranger = Authority.create("stranger", datetime.now(UTC))
        with leaves(site, site.hosts[:1], stranger, timedelta(days=300)):
            plan = site.plan()
        assert reasons(plan) == {"CertificatesDiffer"}
        assert "rotating certificates is not built yet" in advice(plan)

    def test_a_missing_key_is_refused_with_the_command_named(self, site: Site) -> None:
        key = "/etc/etcd/scene/tls/peer.key"
        site.shell(site.hosts[0], f"mv {key} {key}.kept")
        plan = site.plan()
        site.shell(site.hosts[0], f"mv {key}.kept {key}")
        assert reasons(plan) == {"CertificatesMissing"}
        assert "rotating certificates is not built yet" in advice(plan)

    def test_a_release_that_was_replaced_is_a_change(self, site: Site) -> None:
        with replaced_binary(site):
            plan = site.plan()
        assert not plan.refused
        assert {change.what for change in plan.changes} == {"release"}
        assert sorted(members(plan)) == sorted(site.hosts)

    def test_afterwards_all_is_well(self, site: Site) -> None:
        site.require_healthy()
        assert site.plan().kind == "nothing"
