"""The matrix of the requirement, cell by cell, and what else a deploy refuses or leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from quoracy.etcd.facts import MemberEntry
from quoracy.etcd.facts_cluster import EtcdFacts
from quoracy.etcd.params import Action, DeployOption
from quoracy.etcd.plan.deploy import plan_etcd_deploy
from quoracy.operation.plan import Plan
from tests.etcd_factories import (
    CLUSTER_ID,
    NEW,
    OLD,
    absent_facts,
    certificates,
    changed,
    entries,
    healthy_facts,
    process,
    request,
    running,
    spec,
    told,
    with_host,
)

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
    assert all("rotating certificates is not built yet" in v.next_step for v in found)


@pytest.mark.parametrize("which", ["version", "config", "unit", "release"])
def test_a_change_is_backed_up_first_and_rolled_one_by_one(which: str) -> None:
    plan = plan_etcd_deploy(WANTED, state(which), request())
    assert [step.name for step in plan.before] == ["take-snapshot"]
    assert plan.before[0].host != "demo-1", "the leader has enough to do"
    rolled = [group for group in plan.groups if group.hosts]
    assert [group.title for group in rolled] == ["demo-2", "demo-3", "demo-1"]
    assert all(group.gate and not group.parallel for group in rolled)
    assert plan.undoes == "group"


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
    assert [g.title for g in plan.groups if g.note] == ["demo-2"]


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
    assert plan.undoes == "all"
    assert plan.before == ()
    assert [group.parallel for group in plan.groups] == [True, True, False]


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
