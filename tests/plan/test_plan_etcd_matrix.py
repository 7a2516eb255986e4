"""The matrix of the requirement, cell by cell, and what else a deploy refuses or leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from etcd_factories import (
    CLUSTER_ID,
    NEW,
    NOW,
    OLD,
    absent,
    absent_facts,
    bootstrapping,
    certificates,
    changed,
    entries,
    facts_of,
    healthy_facts,
    machine,
    process,
    reasons,
    request,
    running,
    spec,
    status,
    stopped,
    stopped_unit,
    told,
    wanted_certificates,
    with_host,
)

from quoracy.checks.certificates import WantedCertificates
from quoracy.facts.etcd import HostSilent, MemberEntry
from quoracy.facts.etcd_cluster import EtcdFacts
from quoracy.plan.etcd_deploy import Action, DeployOption, plan_etcd_deploy
from quoracy.plan.plan import Plan

CREATE, UPGRADE, DEPLOY = Action.CREATE, Action.UPGRADE, Action.DEPLOY
NO_UPGRADE, FORCE_CREATE = DeployOption.NO_UPGRADE, DeployOption.FORCE_CREATE
WANTED = spec()


def names(plan: Plan) -> list[str]:
    return [f"{step.host} {step.name}" for _, step in plan.steps]


def state(which: str) -> EtcdFacts:
    """The rows of the matrix."""
    extra = MemberEntry("aa", "demo-9", ("https://198.51.100.9:2380",), learner=False)
    rows: dict[str, Callable[[], EtcdFacts]] = {
        "nothing there": lambda: absent_facts(WANTED),
        "no changes": lambda: healthy_facts(WANTED),
        "version": lambda: healthy_facts(spec(version=OLD)),
        "config": lambda: healthy_facts(spec(etcd={"heartbeat_interval_ms": 150})),
        "unit": lambda: healthy_facts(spec(systemd={"nice": -5})),
        "release": replaced_binaries,
        "topology": lambda: healthy_facts(WANTED, members=(*entries(WANTED), extra)),
        "expired": lambda: with_certificates(days=-1),
        "expiring": lambda: with_certificates(days=60),
        "expiring soon": lambda: with_certificates(days=20),
    }
    return rows[which]()


def replaced_binaries() -> EtcdFacts:
    """The file that the link leads to is no longer the one that runs."""
    facts = healthy_facts(WANTED)
    for host in WANTED.hosts:
        ran = replace(process(WANTED, host), replaced=True)
        facts = changed(facts, host.name, process=ran)
    return facts


def with_certificates(days: int) -> EtcdFacts:
    """Certificates made 200 days ago that end so many days from now."""
    facts = healthy_facts(WANTED)
    for host in WANTED.hosts:
        pem = certificates(host, days=200 + days, made_days_ago=200)
        facts = changed(facts, host.name, certificates=pem)
    return facts


@pytest.mark.parametrize(
    ("which", "action", "option", "kind", "stops"),
    [
        ("nothing there", CREATE, None, "create", []),
        ("nothing there", UPGRADE, None, "create", ["NoCluster"]),
        ("nothing there", DEPLOY, None, "create", []),
        ("nothing there", DEPLOY, NO_UPGRADE, "create", ["NoCluster"]),
        ("nothing there", DEPLOY, FORCE_CREATE, "create", []),
        ("no changes", CREATE, None, "nothing", ["ClusterExists"]),
        ("no changes", UPGRADE, None, "nothing", []),
        ("no changes", DEPLOY, None, "nothing", []),
        ("no changes", DEPLOY, NO_UPGRADE, "nothing", []),
        ("no changes", DEPLOY, FORCE_CREATE, "nothing", ["ClusterExists"]),
        *(
            (which, *cell)
            for which in ("version", "config", "unit", "release")
            for cell in (
                (CREATE, None, "change", ["ClusterExists"]),
                (UPGRADE, None, "change", []),
                (DEPLOY, None, "change", []),
                (DEPLOY, NO_UPGRADE, "change", []),
                (DEPLOY, FORCE_CREATE, "change", ["ClusterExists"]),
            )
        ),
        ("topology", CREATE, None, "nothing", ["ClusterExists", "TopologyDiffers"]),
        ("topology", UPGRADE, None, "nothing", ["TopologyDiffers"]),
        ("topology", DEPLOY, None, "nothing", ["TopologyDiffers"]),
        ("expired", UPGRADE, None, "nothing", ["CertificateExpired"]),
        ("expired", DEPLOY, None, "nothing", ["CertificateExpired"]),
        ("expiring", UPGRADE, None, "nothing", []),
        ("expiring", DEPLOY, None, "nothing", []),
        ("expiring soon", DEPLOY, None, "nothing", []),
    ],
)
def test_matrix(
    which: str, action: Action, option: DeployOption | None, kind: str, stops: list[str]
) -> None:
    pinned = None if which == "nothing there" else CLUSTER_ID
    asked = request(action=action, option=option, pinned_cluster_id=pinned)
    plan = plan_etcd_deploy(WANTED, state(which), asked)
    assert (plan.kind, told(plan).stops) == (kind, stops)
    assert plan.refused == bool(stops)


@pytest.mark.parametrize(
    ("which", "warning"),
    [("expiring", "CertificateExpiresSoon"), ("expiring soon", "CertificateExpiresVerySoon")],
)
def test_certificates_near_expiry_warn_and_name_the_command(which: str, warning: str) -> None:
    plan = plan_etcd_deploy(WANTED, state(which), request())
    found = [v for v in plan.verdicts if v.reason == warning]
    assert {v.where for v in found} == {"demo-1", "demo-2", "demo-3"}
    assert all("etcd-rotate-certs demo" in v.next_step for v in found)


@pytest.mark.parametrize("which", ["version", "config", "unit", "release"])
def test_a_change_is_backed_up_first_and_rolled_one_by_one(which: str) -> None:
    plan = plan_etcd_deploy(WANTED, state(which), request())
    assert [step.name for step in plan.before] == ["take-snapshot"]
    assert plan.before[0].host != "demo-1", "the leader has enough to do"
    rolled = [group for group in plan.groups if group.member]
    assert [group.member for group in rolled] == ["demo-2", "demo-3", "demo-1"]
    assert all(group.stops_voter and not group.parallel for group in rolled)
    assert not plan.whole


def test_upgrade_in_whole() -> None:
    plan = plan_etcd_deploy(WANTED, state("version"), request())
    hosts = ("demo-1", "demo-2", "demo-3")
    assert names(plan) == [
        "demo-2 take-snapshot",
        *(f"{h} {s}" for h in hosts for s in ("install-release", "stage-generation")),
        *(
            f"{host} {step}"
            for host in ("demo-2", "demo-3", "demo-1")
            for step in ("stop-member", "switch-generation", "start-member", "await-member")
        ),
    ]
    assert plan.title == "upgrade demo from etcd 3.4.23 to 3.5.16, 3 members one by one"
    assert [group.note != "" for group in plan.groups] == [False, False, False, True]


def test_the_note_of_no_return_stands_at_the_last_old_member_in_a_resumed_upgrade() -> None:
    """The leader has been upgraded already; the last old member is another one."""
    old = spec(version=OLD)
    facts = healthy_facts(WANTED)
    facts = with_host(facts, "demo-2", running(old, old.hosts[1], "demo-1"))
    plan = plan_etcd_deploy(WANTED, facts, request())
    assert [g.member for g in plan.groups if g.note] == ["demo-2"]


def test_create_in_whole() -> None:
    plan = plan_etcd_deploy(WANTED, absent_facts(WANTED), request(pinned_cluster_id=None))
    prepare = (
        "prepare-host",
        "write-certificates",
        "install-release",
        "stage-generation",
        "write-bootstrap",
        "switch-generation",
    )
    hosts = ("demo-1", "demo-2", "demo-3")
    assert names(plan) == [
        *(f"{host} {step}" for host in hosts for step in prepare),
        *(f"{host} {step}" for host in hosts for step in ("form-member", "await-member")),
        " pin-cluster",
        *(f"{host} finish-bootstrap" for host in hosts),
    ]
    assert plan.whole
    assert plan.before == ()
    assert [group.parallel for group in plan.groups] == [True, True, False]


# What is no reason to restart


def test_backup_settings_change_nothing() -> None:
    facts = healthy_facts(WANTED)
    plan = plan_etcd_deploy(spec(backup={"directory": "/elsewhere"}), facts, request())
    assert plan.kind == "nothing"
    assert plan.changes == ()


def test_release_source_and_ssh_change_nothing() -> None:
    other = spec(release={"url": "https://mirror.example/etcd"}, ssh={"port": 2222})
    assert plan_etcd_deploy(other, healthy_facts(WANTED), request()).kind == "nothing"


def test_other_leaf_certificates_are_no_reason_to_restart() -> None:
    """etcd reads leaves at each handshake."""
    facts = healthy_facts(WANTED)
    for host in WANTED.hosts:
        pem = certificates(host, days=300, made_days_ago=3)
        facts = changed(facts, host.name, certificates=pem)
    assert plan_etcd_deploy(WANTED, facts, request()).kind == "nothing"


@pytest.mark.parametrize("state_key", ["new", "existing"])
def test_bootstrap_keys_are_no_reason_to_restart(state_key: str) -> None:
    facts = healthy_facts(WANTED)
    for host in WANTED.hosts:
        ran = process(WANTED, host)
        ran = replace(
            ran,
            config=ran.config.replace("existing", state_key)
            + 'initial-cluster: "demo-1=https://198.51.100.2:2380"\ninitial-cluster-token: "x"\n',
        )
        facts = changed(facts, host.name, process=ran)
    assert plan_etcd_deploy(WANTED, facts, request()).kind == "nothing"


def test_another_pre_start_check_is_switched_without_a_restart() -> None:
    facts = healthy_facts(WANTED)
    for host in WANTED.hosts:
        facts = changed(
            facts,
            host.name,
            generation="0123456789ab",
            staged=frozenset({"0123456789ab"}),
            pre_start="#!/bin/sh\n",
        )
    plan = plan_etcd_deploy(WANTED, facts, request())
    assert {step.name for group in plan.groups for step in group.steps} == {
        "stage-generation",
        "switch-generation",
    }
    assert not any(group.stops_voter for group in plan.groups)
    assert [step.name for step in plan.before] == ["take-snapshot"]


def test_a_file_edited_on_the_host_is_put_right_without_a_restart() -> None:
    facts = changed(healthy_facts(WANTED), "demo-2", config="name: other\n")
    plan = plan_etcd_deploy(WANTED, facts, request())
    assert [(c.host, c.what) for c in plan.changes] == [("demo-2", "config file")]
    assert [step.name for group in plan.groups for step in group.steps] == ["stage-generation"]
    assert plan.title == "repair the files of demo; no member is restarted"


def test_only_the_member_that_differs_is_restarted() -> None:
    old = spec(etcd={"snapshot_count": 5000})
    facts = with_host(healthy_facts(WANTED), "demo-3", running(old, old.hosts[2]))
    plan = plan_etcd_deploy(WANTED, facts, request())
    assert [group.member for group in plan.groups if group.stops_voter] == ["demo-3"]
    assert [(c.host, c.what, c.before, c.after) for c in plan.changes] == [
        ("demo-3", "snapshot-count", "5000", "unset")
    ]


def test_a_new_trusted_ca_restarts_because_etcd_reads_it_once() -> None:
    ran = replace(process(WANTED, WANTED.hosts[1]), ca_sha256="00" * 32)
    plan = plan_etcd_deploy(
        WANTED, changed(healthy_facts(WANTED), "demo-2", process=ran), request()
    )
    assert [c.what for c in plan.changes] == ["trusted CA"]
    assert [group.member for group in plan.groups if group.stops_voter] == ["demo-2"]


# Stopped members


def test_starting_a_stopped_unchanged_member_needs_no_backup() -> None:
    facts = with_host(healthy_facts(WANTED), "demo-1", stopped(WANTED, WANTED.hosts[0]))
    facts = changed(facts, "demo-2", status=status(WANTED, WANTED.hosts[1], "demo-2"))
    facts = changed(facts, "demo-3", status=status(WANTED, WANTED.hosts[2], "demo-2"))
    plan = plan_etcd_deploy(WANTED, facts, request())
    assert not plan.refused
    assert names(plan) == ["demo-1 start-member", "demo-1 await-member"]
    assert plan.title == "start 1 stopped member of demo"


def test_all_stopped_members_are_started_at_once() -> None:
    """Alone, none of them ever becomes ready: systemd gives up on it."""
    facts = facts_of({h.name: stopped(WANTED, h) for h in WANTED.hosts})
    plan = plan_etcd_deploy(WANTED, facts, request())
    assert not plan.refused
    assert plan.title == "start 3 stopped members of demo"
    assert [(g.title, g.parallel) for g in plan.groups] == [("start the stopped members", True)]
    assert all(step.undo == () for group in plan.groups for step in group.steps)


def test_without_quorum_nothing_may_be_changed() -> None:
    old = spec(version=OLD)
    facts = facts_of({h.name: stopped(old, h) for h in old.hosts})
    plan = plan_etcd_deploy(WANTED, facts, request())
    assert told(plan).stops == ["NotQuorate"]


def test_a_failed_unit_is_halted_first_so_that_systemd_does_not_start_it_in_between() -> None:
    down = stopped(WANTED, WANTED.hosts[2], unit=stopped_unit("failed"))
    plan = plan_etcd_deploy(WANTED, with_host(healthy_facts(WANTED), "demo-3", down), request())
    assert names(plan) == ["demo-3 halt-member", "demo-3 start-member", "demo-3 await-member"]


def test_a_stopped_member_of_an_older_minor_counts_for_the_path() -> None:
    """Two run 3.5, the third would start with 3.4: 3.6 would skip a minor for it."""
    running_at, target = spec(version="3.5.33"), spec(version="3.6.14")
    old = spec(version=OLD)
    facts = with_host(healthy_facts(running_at), "demo-3", stopped(old, old.hosts[2]))
    plan = plan_etcd_deploy(target, facts, request())
    assert "MinorSkipped" in told(plan).stops


# Refusals


def test_a_host_that_cannot_be_asked_stops_everything() -> None:
    facts = with_host(healthy_facts(WANTED), "demo-2", HostSilent("connection refused"))
    plan = plan_etcd_deploy(WANTED, facts, request())
    assert told(plan).stops == ["HostSilent"]
    assert plan.groups == ()


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
        (
            (*entries(WANTED), MemberEntry("a", "", ("https://192.0.2.1:2380",), True)),
            "members that the spec does not name: (never started) at",
        ),
    ],
)
def test_topology_is_refused_with_the_command(members: tuple[MemberEntry, ...], said: str) -> None:
    plan = plan_etcd_deploy(WANTED, healthy_facts(WANTED, members=members), request())
    found = [v for v in plan.verdicts if v.reason == "TopologyDiffers"]
    assert any(said in v.message for v in found)
    assert all("quoracy etcd-scale demo" in v.next_step for v in found)
    assert plan.refused


def test_a_host_without_a_member_beside_members_is_a_topology_change() -> None:
    plan = plan_etcd_deploy(WANTED, with_host(healthy_facts(WANTED), "demo-3", absent()), request())
    assert told(plan).stops == ["TopologyDiffers"]
    assert plan.groups == ()


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"has_log": False}, "LogMissing"),
        ({"data_cluster_id": "feed"}, "ForeignData"),
        ({"config_cluster_id": None}, "ForeignData"),
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


def test_alarms_stand_against_changes() -> None:
    old = spec(version=OLD)
    facts = healthy_facts(old)
    full = replace(status(old, old.hosts[1], "demo-1"), alarms=("NOSPACE",))
    plan = plan_etcd_deploy(WANTED, changed(facts, "demo-2", status=full), request())
    assert told(plan).stops == ["AlarmActive"]


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


# Creating


def test_a_port_that_something_else_holds_refuses_a_create() -> None:
    busy = absent(host=machine(listening=frozenset({22, 2380})))
    facts = with_host(absent_facts(WANTED), "demo-2", busy)
    plan = plan_etcd_deploy(WANTED, facts, request(pinned_cluster_id=None))
    assert [(v.reason, v.where) for v in plan.verdicts if v.stops] == [("PortTaken", "demo-2")]


def test_an_interrupted_create_is_finished_with_the_token_it_was_begun_with() -> None:
    hosts = WANTED.hosts
    facts = facts_of(
        {
            "demo-1": bootstrapping(WANTED, hosts[0]),
            "demo-2": bootstrapping(WANTED, hosts[1]),
            "demo-3": absent(),
        }
    )
    plan = plan_etcd_deploy(WANTED, facts, request(token="other-token", pinned_cluster_id=None))
    assert not plan.refused
    assert plan.title.startswith("finish the create of demo")
    written = [s for _, s in plan.steps if s.name == "write-bootstrap"]
    assert [s.host for s in written] == ["demo-3"]
    assert "demo-0123456789abcdef" in getattr(written[0], "content")  # noqa: B009


def test_an_interrupted_create_of_other_members_is_refused() -> None:
    begun = spec(3, ports={"client": 2379, "peer": 3380})
    facts = facts_of({h.name: bootstrapping(begun, h) for h in begun.hosts})
    plan = plan_etcd_deploy(WANTED, facts, request(pinned_cluster_id=None))
    assert told(plan).stops == ["CreateDiffers"]


def test_an_interrupted_create_may_be_created_again_and_not_once_a_member_is_finished() -> None:
    hosts = WANTED.hosts
    begun = facts_of({h.name: bootstrapping(WANTED, h) for h in hosts})
    asked = request(action=CREATE, pinned_cluster_id=None)
    assert not plan_etcd_deploy(WANTED, begun, asked).refused
    finished = with_host(begun, "demo-1", running(WANTED, hosts[0]))
    assert told(plan_etcd_deploy(WANTED, finished, asked)).stops == ["ClusterExists"]


def test_putting_back_a_resumed_create_never_takes_away_a_log_that_was_there() -> None:
    """The others have formed the cluster: a voter must not come back without its log."""
    hosts = WANTED.hosts
    facts = facts_of(
        {
            "demo-1": running(
                WANTED, hosts[0], bootstrap=bootstrapping(WANTED, hosts[0]).bootstrap
            ),
            "demo-2": running(
                WANTED, hosts[1], bootstrap=bootstrapping(WANTED, hosts[1]).bootstrap
            ),
            "demo-3": bootstrapping(WANTED, hosts[2], has_log=True),
        }
    )
    plan = plan_etcd_deploy(WANTED, facts, request(pinned_cluster_id=None))
    undone = [back.name for _, step in plan.steps for back in step.undo]
    assert "form-member" in [step.name for _, step in plan.steps]
    assert "withdraw-member" not in undone


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
    assert all("etcd-rotate-certs demo" in v.next_step for v in found)


def test_plans_are_equal_and_their_digest_does_not_depend_on_the_leader() -> None:
    old = spec(version=OLD)
    one, two = (
        plan_etcd_deploy(WANTED, healthy_facts(old, leader), request())
        for leader in ("demo-1", "demo-2")
    )
    assert one.digest == two.digest
    assert one != two
    assert one == plan_etcd_deploy(WANTED, healthy_facts(old, "demo-1"), request())
    assert one.as_dict()["steps"][0]["name"] == "take-snapshot"
    assert NEW in one.title
