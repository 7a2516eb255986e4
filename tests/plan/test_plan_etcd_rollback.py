"""operation-rollback, decided: only what is unfinished is put back, and never a cluster that serves."""

from __future__ import annotations

from typing import Literal

from etcd_factories import (
    absent_facts,
    facts_of,
    healthy_facts,
    running,
    spec,
    stopped,
    told,
    with_host,
)

from quoracy.facts.etcd import HostSilent
from quoracy.facts.etcd_cluster import EtcdFacts
from quoracy.plan.etcd_rollback import HalfDone, TakenStep, plan_etcd_rollback
from quoracy.plan.etcd_steps import (
    AwaitMember,
    FormMember,
    HaltMember,
    StartMember,
    StopMember,
    SwitchGeneration,
)
from quoracy.plan.plan import Plan, Step

DEMO = spec()


def half_done(
    *steps: tuple[str, Step],
    unfinished: tuple[str, ...] = ("demo-2",),
    undoes: Literal["group", "all"] = "group",
) -> HalfDone:
    taken = tuple(TakenStep(group, s.host, s.title, s.undo) for group, s in steps)
    return HalfDone("op", "change demo, 3 members one by one", undoes, frozenset(unfinished), taken)


def roll(host: str) -> list[tuple[str, Step]]:
    steps: list[Step] = [StopMember(host), SwitchGeneration(host, "new", "old"), StartMember(host)]
    return [(host, step) for step in steps]


def planned(facts: EtcdFacts, left: HalfDone | None, *, allow_downtime: bool = False) -> Plan:
    return plan_etcd_rollback(DEMO, facts, left, allow_downtime=allow_downtime)


def test_nothing_half_done_is_nothing_to_do() -> None:
    plan = planned(healthy_facts(DEMO), None)
    assert (plan.kind, plan.groups, plan.refused) == ("nothing", (), False)


def test_only_the_unfinished_member_of_a_roll_is_put_back_newest_step_first() -> None:
    facts = with_host(healthy_facts(DEMO), "demo-2", stopped(DEMO, DEMO.hosts[1]))
    plan = planned(facts, half_done(*roll("demo-1"), *roll("demo-2")))
    assert [group.member for group in plan.groups] == ["demo-2"]
    assert plan.groups[0].steps == (
        HaltMember("demo-2"),
        SwitchGeneration("demo-2", "old", "new"),
        StartMember("demo-2"),
        AwaitMember("demo-2"),
    )
    assert not plan.groups[0].stops_voter
    assert plan.undoes == "nothing"


def test_a_member_that_serves_already_is_subject_to_the_gate() -> None:
    left = half_done(*roll("demo-2"))
    assert planned(healthy_facts(DEMO), left).groups[0].stops_voter
    one_down = with_host(healthy_facts(DEMO), "demo-3", stopped(DEMO, DEMO.hosts[2]))
    assert told(planned(one_down, left)).stops == ["QuorumWouldBeLost"]


def test_a_create_is_put_back_on_all_hosts_unless_it_serves_already() -> None:
    steps = [("form the cluster", FormMember(host.name, fresh=True)) for host in DEMO.hosts]
    left = half_done(*steps, unfinished=("pin the cluster",), undoes="all")
    plan = planned(absent_facts(DEMO), left)
    assert [group.member for group in plan.groups] == ["demo-3", "demo-2", "demo-1"]
    assert told(planned(healthy_facts(DEMO), left)).stops == ["ClusterServes"]


def test_a_host_that_cannot_be_asked_is_not_put_back_blindly() -> None:
    facts = with_host(healthy_facts(DEMO), "demo-2", HostSilent("no route", "plug it in"))
    plan = planned(facts, half_done(*roll("demo-2")))
    assert [(v.reason, v.next_step) for v in plan.verdicts] == [("HostSilent", "plug it in")]
    elsewhere = with_host(healthy_facts(DEMO), "demo-3", HostSilent("no route"))
    assert "HostSilent" not in told(planned(elsewhere, half_done(*roll("demo-2")))).stops


def test_in_a_small_cluster_the_permission_to_go_down_is_needed_again() -> None:
    small = spec(1)
    facts = facts_of({"demo-1": running(small, small.hosts[0])})
    left = half_done(*roll("demo-1"), unfinished=("demo-1",))
    assert told(plan_etcd_rollback(small, facts, left, allow_downtime=False)).stops
    assert not plan_etcd_rollback(small, facts, left, allow_downtime=True).refused
