"""Every cell of the requirement's matrix, on a cluster that is there and on hosts that carry none."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from scenario_site import MIDDLE, Site, advice, members, reasons, step_names, stored_files, warnings

from quoracy.checks.verdict import Status
from quoracy.commands.etcd import subject_names
from quoracy.errors import Refused, UsageError
from quoracy.pki.authority import Authority
from quoracy.plan.etcd_deploy import Action, DeployOption

pytestmark = pytest.mark.lab

TUNED = {"heartbeat_interval_ms": 125}


@pytest.fixture(scope="module")
def absent(make_site) -> Site:
    """A cluster that no host carries, on the hosts of the one that is there."""
    return make_site("other", ports={"client": 3379, "peer": 3380})


@pytest.fixture(autouse=True)
def untouched(site: Site) -> Iterator[None]:
    """No cell of this file touches a host."""
    before, snapshots = site.traces(), stored_files(site.backups)
    yield
    site.back()
    assert site.traces() == before
    assert stored_files(site.backups) == snapshots


def require_refused(site: Site, reason: str, *, advice: str = "", **wanted: object) -> None:
    """It is refused for this reason, and the user is told what to do."""
    with pytest.raises(Refused) as told:
        site.deploy(**wanted)
    assert f"[{reason}]" in told.value.what
    assert advice in told.value.next_step


# ------------------------------------------------------------------ nothing there


@pytest.mark.parametrize(
    "wanted", [{"action": Action.CREATE}, {}, {"option": DeployOption.FORCE_CREATE}]
)
def test_where_nothing_is_create_and_deploy_create(absent: Site, wanted) -> None:
    plan = absent.plan(**wanted)
    assert not plan.refused
    assert plan.kind == "create"
    assert [step for _, step in plan.steps if step.name == "form-member"]


@pytest.mark.parametrize(
    "wanted", [{"action": Action.UPGRADE}, {"option": DeployOption.NO_UPGRADE}]
)
def test_where_nothing_is_upgrade_and_report_are_refused(absent: Site, wanted) -> None:
    require_refused(absent, "NoCluster", advice="`quoracy etcd-deploy other`", **wanted)


# ------------------------------------------------------------------ there, with and without changes


@pytest.mark.parametrize(
    "change", [{}, {"etcd": TUNED}, {"systemd": {"nice": 3}}, {"version": MIDDLE}]
)
@pytest.mark.parametrize(
    "wanted", [{"action": Action.CREATE}, {"option": DeployOption.FORCE_CREATE}]
)
def test_what_is_there_is_not_created(site: Site, change, wanted) -> None:
    site.apply(**change)
    require_refused(site, "ClusterExists", advice="`quoracy etcd-deploy scene`", **wanted)


@pytest.mark.parametrize(
    "wanted", [{"action": Action.UPGRADE}, {}, {"option": DeployOption.NO_UPGRADE}]
)
def test_without_changes_nothing_is_to_be_done(site: Site, wanted) -> None:
    report = site.deploy(**wanted)
    assert report.outcome == "nothing_to_do"
    assert (report.plan.changes, report.plan.before, report.plan.groups) == ((), (), ())


CHANGES = {
    "version": ({"version": MIDDLE}, "version"),
    "config": ({"etcd": TUNED}, "heartbeat-interval"),
    "unit": ({"systemd": {"nice": 3}}, "unit Nice"),
}


@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize("wanted", [{"action": Action.UPGRADE}, {}])
def test_changes_are_rolled_after_a_backup_leader_last(site: Site, kind: str, wanted) -> None:
    change, named = CHANGES[kind]
    site.apply(**change)
    plan = site.plan(**wanted)
    assert not plan.refused
    assert [step.name for step in plan.before] == ["take-snapshot"]
    assert plan.before[0].host != site.leader()
    assert sorted(members(plan)) == sorted(site.hosts)
    assert members(plan)[-1] == site.leader()
    assert {(c.host, c.what) for c in plan.changes} == {(host, named) for host in site.hosts}
    for host in site.hosts:
        own = [name for name in step_names(plan, host) if name != "take-snapshot"]
        assert own[-4:] == ["stop-member", "switch-generation", "start-member", "await-member"]


@pytest.mark.parametrize("kind", CHANGES)
def test_no_upgrade_reports_changes_and_applies_none(site: Site, kind: str) -> None:
    change, named = CHANGES[kind]
    site.apply(**change)
    report = site.deploy(option=DeployOption.NO_UPGRADE)
    assert report.outcome == "dry_run"
    assert {c.what for c in report.plan.changes} == {named}


# ------------------------------------------------------------------ hosts differ from members


def hosts_of(site: Site, *numbers: int) -> list[dict[str, str]]:
    lab = site.lab
    return [{"name": lab.hosts[n - 1].name, "address": lab.hosts[n - 1].address} for n in numbers]


@pytest.mark.parametrize("wanted", [{"action": Action.UPGRADE}, {}])
@pytest.mark.parametrize("numbers", [(1, 2, 3, 4), (1, 2, 4), (1, 2)], ids=str)
def test_other_hosts_than_members_are_refused_with_the_command_named(
    site: Site, numbers: tuple[int, ...], wanted
) -> None:
    site.apply(hosts=hosts_of(site, *numbers))
    plan = site.plan(**wanted)
    assert "TopologyDiffers" in reasons(plan)
    assert "`quoracy etcd-scale scene`" in advice(plan)
    named = "\n".join(
        f"{v.where} {v.message}" for v in plan.verdicts if v.reason == "TopologyDiffers"
    )
    if 4 in numbers:
        assert f"{site.lab.name}-4" in named
    if 4 not in numbers:
        assert f"{site.lab.name}-3" in named


def test_other_hosts_than_members_are_not_created(site: Site) -> None:
    site.apply(hosts=hosts_of(site, 1, 2, 3, 4))
    require_refused(site, "ClusterExists", action=Action.CREATE)


def test_another_peer_address_is_refused(site: Site) -> None:
    hosts = hosts_of(site, 1, 2, 3)
    hosts[0]["peer_address"] = "198.51.100.250"
    site.apply(hosts=hosts)
    plan = site.plan()
    assert "TopologyDiffers" in reasons(plan)
    assert "198.51.100.250" in "".join(v.message for v in plan.verdicts)


# ------------------------------------------------------------------ certificates and binaries


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
    @pytest.fixture(autouse=True)
    def untouched(self) -> None:
        """These tests touch the files themselves, and put them back."""

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
        assert all("`quoracy etcd-rotate-certs scene`" in v.next_step for v in told)
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
        assert "`quoracy etcd-rotate-certs scene`" in told.value.next_step
        assert site.watch.restarts() == before

    def test_certificates_of_another_authority_are_refused_with_the_command_named(
        self, site: Site
    ) -> None:
        stranger = Authority.create("stranger", datetime.now(UTC))
        with leaves(site, site.hosts[:1], stranger, timedelta(days=300)):
            plan = site.plan()
        assert reasons(plan) == {"CertificatesDiffer"}
        assert "`quoracy etcd-rotate-certs scene`" in advice(plan)

    def test_a_missing_key_is_refused_with_the_command_named(self, site: Site) -> None:
        key = "/etc/etcd/scene/tls/peer.key"
        site.shell(site.hosts[0], f"mv {key} {key}.kept")
        plan = site.plan()
        site.shell(site.hosts[0], f"mv {key}.kept {key}")
        assert reasons(plan) == {"CertificatesMissing"}
        assert "`quoracy etcd-rotate-certs scene`" in advice(plan)

    def test_a_release_that_was_replaced_is_a_change(self, site: Site) -> None:
        with replaced_binary(site):
            plan = site.plan()
        assert not plan.refused
        assert {change.what for change in plan.changes} == {"release"}
        assert sorted(members(plan)) == sorted(site.hosts)

    def test_afterwards_all_is_well(self, site: Site) -> None:
        site.require_healthy()
        assert site.plan().kind == "nothing"


# ------------------------------------------------------------------ versions


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        ("3.6.14", "MinorSkipped"),
        ("3.7.1", "MinorSkipped"),
        ("3.5.1", "VersionKnownBad"),
        ("3.3.25", "VersionUnsupported"),
    ],
)
def test_versions_that_may_not_follow_are_refused(site: Site, version: str, reason: str) -> None:
    require_refused(site, reason, version=version, action=Action.UPGRADE)


def test_a_bad_version_can_be_allowed(site: Site) -> None:
    plan = site.plan(version="3.5.1", allow_bad_version=True)
    assert not plan.refused
    assert plan.kind == "change"


def test_a_key_that_the_version_does_not_know_is_a_users_mistake(site: Site) -> None:
    with pytest.raises(UsageError):
        site.plan(version="nonsense")
