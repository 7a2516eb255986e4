"""What a deploy does and refuses while etcd's alarms are active."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from quoracy.etcd.checks_alarms import FULL
from quoracy.etcd.facts import EtcdHostFacts
from quoracy.etcd.facts_alarms import Alarm
from quoracy.etcd.facts_cluster import EtcdFacts
from quoracy.etcd.plan.deploy import plan_etcd_deploy
from quoracy.etcd.spec import EtcdCluster
from tests.etcd_factories import (
    OLD,
    bootstrapping,
    facts_of,
    healthy_facts,
    member_id,
    request,
    running,
    spec,
    status,
    stopped,
    told,
    with_host,
)

MIB = 1024**2
SMALL = spec(etcd={"quota_backend_bytes": 8 * MIB})
LARGER = spec(etcd={"quota_backend_bytes": 16 * MIB})
FULL_OF_TWO = Alarm("NOSPACE", member_id("demo-2"))
CORRUPT = Alarm("CORRUPT", "0")


def alarmed(facts: EtcdFacts, *alarms: Alarm) -> EtcdFacts:
    """The same facts with alarms: every member that answers tells those of all."""

    def one(host: EtcdHostFacts) -> EtcdHostFacts:
        if host.status is None:
            return host
        return replace(host, status=replace(host.status, alarms=alarms))

    return facts_of({name: one(host) for name, host in facts.heard.items()})


FULL_FACTS = alarmed(healthy_facts(SMALL), FULL_OF_TWO)


def test_out_of_space_another_change_is_refused_with_what_helps() -> None:
    other = spec(etcd={"quota_backend_bytes": 8 * MIB, "snapshot_count": 5000})
    plan = plan_etcd_deploy(other, FULL_FACTS, request())
    (verdict,) = (v for v in plan.verdicts if v.stops)
    assert verdict.reason == "AlarmActive"
    assert verdict.message == (
        f"etcd has raised NOSPACE for demo-2: {FULL}; "
        "demo-1, demo-2, demo-3 would be changed without a larger quota"
    )
    for words in ("etcd.quota_backend_bytes", "etcdctl compact", "etcdctl defrag", "alarm disarm"):
        assert words in verdict.next_step
    assert "not built yet" in verdict.next_step


def test_out_of_space_an_upgrade_is_refused() -> None:
    facts = alarmed(healthy_facts(spec(version=OLD)), FULL_OF_TWO)
    assert told(plan_etcd_deploy(spec(), facts, request())).stops == ["AlarmActive"]


def test_a_larger_quota_is_rolled_out_and_the_plan_says_that_it_is_not_all() -> None:
    plan = plan_etcd_deploy(LARGER, FULL_FACTS, request())
    assert not plan.refused
    assert [group.title for group in plan.groups if group.gate] == [
        "demo-2",
        "demo-3",
        "demo-1",
    ]
    assert [step.name for step in plan.before] == ["take-snapshot"]
    (warning,) = (v for v in plan.verdicts if v.reason == "AlarmActive")
    assert "until the alarm is disarmed" in warning.message
    assert "alarm disarm" in warning.next_step


def test_a_larger_quota_may_come_with_other_changes() -> None:
    both = spec(etcd={"quota_backend_bytes": 16 * MIB, "snapshot_count": 5000})
    assert not plan_etcd_deploy(both, FULL_FACTS, request()).refused


@pytest.mark.parametrize("rolled", [1, 2])
def test_a_roll_that_was_cut_off_goes_on(rolled: int) -> None:
    facts = FULL_FACTS
    for host in LARGER.hosts[:rolled]:
        facts = alarmed(with_host(facts, host.name, running(LARGER, host)), FULL_OF_TWO)
    plan = plan_etcd_deploy(LARGER, facts, request())
    assert not plan.refused
    assert len([group for group in plan.groups if group.gate]) == 3 - rolled


def test_a_smaller_quota_is_refused() -> None:
    smaller = spec(etcd={"quota_backend_bytes": 4 * MIB})
    assert plan_etcd_deploy(smaller, FULL_FACTS, request()).refused


@pytest.mark.parametrize(("line", "refused"), [("", False), ("quota-backend-bytes: -1\n", True)])
def test_etcds_default_is_smaller_than_4_gib_and_no_quota_is_not(line: str, refused: bool) -> None:
    wanted = spec(etcd={"quota_backend_bytes": 4096 * MIB})
    host = running(wanted, wanted.hosts[1])
    assert host.process is not None
    config = re.sub("quota-backend-bytes.*\n", line, host.process.config)
    facts = with_host(
        healthy_facts(wanted),
        "demo-2",
        replace(host, process=replace(host.process, config=config)),
    )
    assert plan_etcd_deploy(wanted, alarmed(facts, FULL_OF_TWO), request()).refused == refused


def test_a_stopped_member_with_the_old_quota_on_disk_is_changed_and_started() -> None:
    facts = with_host(FULL_FACTS, "demo-3", stopped(SMALL, SMALL.hosts[2]))
    plan = plan_etcd_deploy(LARGER, facts, request())
    assert not plan.refused
    assert plan.groups[1].title == "demo-3"


def test_a_stopped_member_is_started_out_of_space() -> None:
    facts = with_host(FULL_FACTS, "demo-3", stopped(SMALL, SMALL.hosts[2]))
    plan = plan_etcd_deploy(SMALL, facts, request())
    assert [s.name for g in plan.groups for s in g.steps] == ["start-member", "await-member"]
    assert told(plan).stops == []
    assert "AlarmActive" in told(plan).warns


def test_without_quorum_members_are_started_out_of_space() -> None:
    facts = facts_of(
        {
            "demo-1": running(SMALL, SMALL.hosts[0], None, healthy=False, members=None),
            **{h.name: stopped(SMALL, h) for h in SMALL.hosts[1:]},
        }
    )
    plan = plan_etcd_deploy(SMALL, alarmed(facts, FULL_OF_TWO), request())
    assert (plan.kind, plan.refused) == ("start", False)
    assert "AlarmActive" in told(plan).warns


def test_nothing_to_do_says_that_writes_are_refused_and_what_helps() -> None:
    plan = plan_etcd_deploy(SMALL, FULL_FACTS, request())
    assert (plan.kind, plan.refused) == ("nothing", False)
    (warning,) = (v for v in plan.verdicts if v.reason == "AlarmActive")
    assert warning.message == f"etcd has raised NOSPACE for demo-2: {FULL}"
    assert "etcd.quota_backend_bytes" in warning.next_step


def a_start() -> EtcdFacts:
    return with_host(healthy_facts(SMALL), "demo-3", stopped(SMALL, SMALL.hosts[2]))


def no_quorum() -> EtcdFacts:
    alone = running(SMALL, SMALL.hosts[0], None, healthy=False, members=None)
    return facts_of({"demo-1": alone, **{h.name: stopped(SMALL, h) for h in SMALL.hosts[1:]}})


def unfinished_create() -> EtcdFacts:
    hosts = {h.name: bootstrapping(SMALL, h, has_log=True, formed=True) for h in SMALL.hosts}
    serves = replace(hosts["demo-1"], status=status(SMALL, SMALL.hosts[0], "demo-1"), healthy=True)
    return facts_of({**hosts, "demo-1": serves})


@pytest.mark.parametrize(
    ("wanted", "facts"),
    [
        (SMALL, healthy_facts(SMALL)),
        (LARGER, healthy_facts(SMALL)),
        (SMALL, a_start()),
        (SMALL, no_quorum()),
        (SMALL, unfinished_create()),
    ],
    ids=["nothing-to-do", "larger-quota", "start", "no-quorum", "create"],
)
@pytest.mark.parametrize("alarm", [CORRUPT, Alarm("UNHEARD_OF", member_id("demo-1"))])
def test_corrupt_data_and_unknown_alarms_stop_everything(
    wanted: EtcdCluster, facts: EtcdFacts, alarm: Alarm
) -> None:
    pinned = None if facts.heard["demo-2"].bootstrap else request().pinned_cluster_id
    asked = request(pinned_cluster_id=pinned)
    assert not plan_etcd_deploy(wanted, facts, asked).refused
    plan = plan_etcd_deploy(wanted, alarmed(facts, alarm, FULL_OF_TWO), asked)
    assert told(plan).stops == ["AlarmActive"]
    assert (plan.kind, plan.groups) == ("nothing", ())
