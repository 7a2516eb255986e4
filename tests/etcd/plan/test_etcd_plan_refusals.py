"""What a deploy refuses, and with which words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from quoracy.etcd.checks_certificates import WantedCertificates
from quoracy.etcd.facts import MemberEntry
from quoracy.etcd.params import Action
from quoracy.etcd.plan.deploy import plan_etcd_deploy
from quoracy.hosts.machine import HostSilent
from tests.etcd_factories import (
    NOW,
    OLD,
    absent_facts,
    changed,
    entries,
    healthy_facts,
    machine,
    reasons,
    request,
    spec,
    status,
    told,
    wanted_certificates,
    with_host,
)

WANTED = spec()


def test_a_host_that_cannot_be_asked_stops_everything() -> None:
    facts = with_host(healthy_facts(WANTED), "demo-2", HostSilent("connection refused"))
    plan = plan_etcd_deploy(WANTED, facts, request())
    assert told(plan).stops == ["HostSilent"]
    assert plan.groups == ()


def test_a_silent_host_says_what_to_do_about_it() -> None:
    silent = HostSilent("its key has changed", "quoracy host trust demo --replace")
    plan = plan_etcd_deploy(WANTED, with_host(healthy_facts(WANTED), "demo-2", silent), request())
    assert [v.next_step for v in plan.verdicts if v.stops] == ["quoracy host trust demo --replace"]


def test_a_silent_host_is_not_said_to_carry_the_cluster() -> None:
    facts = with_host(absent_facts(WANTED), "demo-2", HostSilent("connection refused"))
    for action in Action:
        plan = plan_etcd_deploy(WANTED, facts, request(action=action, pinned_cluster_id=None))
        assert told(plan).stops == ["HostSilent"]


@pytest.mark.parametrize(
    ("members", "said"),
    [
        (entries(WANTED)[:2], "hosts of the spec that are no members: demo-3 at"),
        (
            (*entries(WANTED), MemberEntry("a", "old-1", ("https://192.0.2.1:2380",), False)),
            "members that the spec does not name: old-1 at https://192.0.2.1:2380",
        ),
        (
            (*entries(WANTED)[:2], MemberEntry("a", "demo-3", ("https://192.0.2.1:2380",), False)),
            "members that the spec does not name: demo-3 at https://192.0.2.1:2380",
        ),
    ],
)
def test_topology_is_refused_with_the_command(members: tuple[MemberEntry, ...], said: str) -> None:
    plan = plan_etcd_deploy(WANTED, healthy_facts(WANTED, members=members), request())
    found = [v for v in plan.verdicts if v.reason == "TopologyDiffers"]
    assert any(said in v.message for v in found)
    assert all("is not built yet" in v.next_step for v in found)
    assert plan.refused


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"host": machine(systemd=False)}, "NoSystemd"),
        ({"host": machine(architecture="riscv64")}, "ArchitectureUnknown"),
        ({"host": machine(clock_s=NOW.timestamp() - 11)}, "ClockOff"),
        ({"host": machine(free_bytes={"/opt/etcd": 255 * 1024**2})}, "DiskFull"),
    ],
)
def test_unusable_hosts(facts: dict[str, object], reason: str) -> None:
    plan = plan_etcd_deploy(WANTED, changed(healthy_facts(WANTED), "demo-2", **facts), request())
    assert reason in told(plan).stops
    assert plan.groups == ()


def test_a_clock_that_is_off_by_little_warns() -> None:
    facts = changed(healthy_facts(WANTED), "demo-2", host=machine(clock_s=NOW.timestamp() + 3))
    assert "ClockOff" in told(plan_etcd_deploy(WANTED, facts, request())).warns


@pytest.mark.parametrize("pinned", ["1111", None])
def test_other_cluster_ids_are_refused(pinned: str | None) -> None:
    facts = healthy_facts(WANTED)
    if pinned is None:
        other = replace(status(WANTED, WANTED.hosts[0], "demo-1"), cluster_id="2222")
        facts = changed(facts, "demo-1", status=other)
    plan = plan_etcd_deploy(WANTED, facts, request(pinned_cluster_id=pinned))
    assert told(plan).stops == ["ClusterIdDiffers"]


def test_a_cluster_that_has_vanished_is_not_created_anew() -> None:
    plan = plan_etcd_deploy(WANTED, absent_facts(WANTED), request())
    assert told(plan).stops == ["ClusterVanished"]
    assert plan.groups == ()


@pytest.mark.parametrize(("count", "stops"), [(1, True), (2, True), (3, False)])
def test_small_clusters_need_allow_downtime(count: int, stops: bool) -> None:
    old, new = spec(count, version=OLD), spec(count)
    plan = plan_etcd_deploy(new, healthy_facts(old), request())
    assert ("DowntimeNeeded" in told(plan).stops) == stops
    allowed = plan_etcd_deploy(new, healthy_facts(old), request(allow_downtime=True))
    assert not allowed.refused


@pytest.mark.parametrize(
    ("runs", "wanted", "reason"),
    [
        ("3.4.23", "3.6.14", "MinorSkipped"),
        ("3.5.16", "3.5.1", "VersionKnownBad"),
        ("3.5.16", "3.4.23", "DowngradeRefused"),
        ("3.5.16", "3.6.14", "UpgradeFloor"),
    ],
)
def test_versions(runs: str, wanted: str, reason: str) -> None:
    plan = plan_etcd_deploy(spec(version=wanted), healthy_facts(spec(version=runs)), request())
    assert told(plan).stops == [reason]


def test_even_members_warn() -> None:
    assert "EvenMembers" in told(plan_etcd_deploy(spec(4), healthy_facts(spec(4)), request())).warns


def test_given_certificates_that_differ_are_refused_with_the_rotation_named() -> None:
    given = {
        (host.name, role): b"another"
        for host in WANTED.hosts
        for role in ("peer", "server", "client")
    }
    wanted = WantedCertificates(ca=wanted_certificates().ca, given=given)
    plan = plan_etcd_deploy(WANTED, healthy_facts(WANTED), request(certificates=wanted))
    found = [v for v in plan.verdicts if v.stops]
    assert set(reasons(found)) == {"CertificatesDiffer"}
    assert all("rotating certificates is not built yet" in v.next_step for v in found)
