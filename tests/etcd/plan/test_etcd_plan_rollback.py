"""operation-rollback, decided: only what is unfinished is put back, and never a cluster that serves."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from quoracy.etcd.facts_alarms import Alarm
from quoracy.etcd.facts_cluster import EtcdFacts
from quoracy.etcd.plan.rollback import HalfDone, TakenStep, plan_etcd_rollback
from quoracy.etcd.steps import (
    AwaitMember,
    FormMember,
    HaltMember,
    StartMember,
    StopMember,
    SwitchGeneration,
)
from quoracy.etcd.templates import render_generation
from quoracy.hosts.machine import GuardFacts, HostSilent
from quoracy.operation.plan import Plan
from quoracy.operation.step import Step, steps_from_json
from tests.etcd_factories import (
    absent,
    absent_facts,
    changed,
    facts_of,
    healthy_facts,
    machine,
    running,
    spec,
    staged,
    status,
    stopped,
    told,
    with_host,
)

DEMO = spec()


def half_done(
    *steps: tuple[str, Step],
    unfinished: tuple[str, ...] = ("demo-2",),
    undoes: Literal["group", "all"] = "group",
) -> HalfDone:
    taken = tuple(TakenStep(group, s.host, s.title, s.undo) for group, s in steps)
    return HalfDone(
        "op", "change demo, 3 members one by one", undoes, frozenset(unfinished), taken, 7
    )


def before(host: str) -> str:
    """The generation that the host followed before; it is still staged there."""
    if host == "demo-9":
        return "gone"
    return render_generation(DEMO, DEMO.host(host)).identity


def roll(host: str) -> list[tuple[str, Step]]:
    lay = "" if host == "demo-9" else staged(DEMO, DEMO.host(host))[before(host)]
    switch = SwitchGeneration(host, "new", before(host), "", lay)
    steps: list[Step] = [StopMember(host), switch, StartMember(host)]
    return [(host, step) for step in steps]


def planned(facts: EtcdFacts, left: HalfDone | None, *, allow_downtime: bool = False) -> Plan:
    return plan_etcd_rollback(DEMO, facts, left, allow_downtime=allow_downtime)


def test_nothing_half_done_is_nothing_to_do() -> None:
    plan = planned(healthy_facts(DEMO), None)
    assert (plan.kind, plan.groups, plan.refused) == ("nothing", (), False)


def test_only_the_unfinished_member_of_a_roll_is_put_back_newest_step_first() -> None:
    facts = with_host(healthy_facts(DEMO), "demo-2", stopped(DEMO, DEMO.hosts[1]))
    plan = planned(facts, half_done(*roll("demo-1"), *roll("demo-2")))
    assert [group.title for group in plan.groups] == ["demo-2"]
    (content,) = staged(DEMO, DEMO.hosts[1]).values()
    assert plan.groups[0].steps == (
        HaltMember("demo-2"),
        SwitchGeneration("demo-2", before("demo-2"), "new", content),
        StartMember("demo-2"),
        AwaitMember("demo-2"),
    )
    assert not plan.groups[0].gate
    assert plan.undoes == "nothing"


def test_a_member_that_serves_already_is_subject_to_the_gate() -> None:
    left = half_done(*roll("demo-2"))
    assert planned(healthy_facts(DEMO), left).groups[0].gate
    one_down = with_host(healthy_facts(DEMO), "demo-3", stopped(DEMO, DEMO.hosts[2]))
    assert told(planned(one_down, left)).stops == ["QuorumWouldBeLost"]


def test_a_create_is_put_back_on_all_hosts_unless_it_serves_already() -> None:
    steps = [("form the cluster", FormMember(host.name, fresh=True)) for host in DEMO.hosts]
    left = half_done(*steps, unfinished=("pin the cluster",), undoes="all")
    begun = facts_of(
        {
            h.name: absent(bootstrap="initial-cluster: x", formed=True, has_log=True)
            for h in DEMO.hosts
        }
    )
    plan = planned(begun, left)
    assert [group.title for group in plan.groups] == ["demo-3", "demo-2", "demo-1"]
    assert told(planned(healthy_facts(DEMO), left)).stops == ["ClusterServes"]
    # A later attempt has taken it off already, where the journal could not say so.
    assert planned(absent_facts(DEMO), left).kind == "nothing"


def test_a_host_that_cannot_be_asked_is_not_put_back_blindly() -> None:
    facts = with_host(healthy_facts(DEMO), "demo-2", HostSilent("no route", "plug it in"))
    plan = planned(facts, half_done(*roll("demo-2")))
    assert [(v.reason, v.next_step) for v in plan.verdicts] == [("HostSilent", "plug it in")]
    elsewhere = with_host(healthy_facts(DEMO), "demo-3", HostSilent("no route"))
    assert "HostSilent" not in told(planned(elsewhere, half_done(*roll("demo-2")))).stops


def test_in_a_small_cluster_the_permission_to_go_down_is_needed_again() -> None:
    small = spec(1)
    facts = facts_of({"demo-1": running(small, small.hosts[0], staged=staged(DEMO, DEMO.hosts[0]))})
    left = half_done(*roll("demo-1"), unfinished=("demo-1",))
    assert told(plan_etcd_rollback(small, facts, left, allow_downtime=False)).stops
    assert not plan_etcd_rollback(small, facts, left, allow_downtime=True).refused


def test_a_generation_that_is_gone_is_not_gone_back_to() -> None:
    """Otherwise a member that serves would be halted first."""
    facts = changed(healthy_facts(DEMO), "demo-2", staged={})
    assert told(planned(facts, half_done(*roll("demo-2")))).stops == ["GenerationMissing"]


def test_a_generation_that_was_edited_since_is_not_gone_back_to() -> None:
    lies = staged(DEMO, DEMO.hosts[1], unit="[Service]\nExecStart=/bin/false\n")
    facts = changed(healthy_facts(DEMO), "demo-2", staged=lies)
    assert told(planned(facts, half_done(*roll("demo-2")))).stops == ["GenerationEdited"]


def test_a_journal_from_before_contents_were_noted_can_be_gone_back_by() -> None:
    host = "demo-2"
    (old_row,) = steps_from_json(
        f'[{{"name": "switch-generation", "host": "{host}", "identity": "{before(host)}", '
        '"previous": "new", "withdraw": true}]'
    )
    taken = TakenStep(host, host, "switch", (old_row,))
    left = HalfDone("op", "change demo", "group", frozenset({host}), (taken,), 7)
    plan = planned(healthy_facts(DEMO), left)
    assert (plan.refused, plan.groups[0].steps) == (False, (old_row,))


def test_corrupt_data_stop_putting_back_as_well() -> None:
    told_it = replace(status(DEMO, DEMO.hosts[1], "demo-1"), alarms=(Alarm("CORRUPT", "0"),))
    facts = changed(healthy_facts(DEMO), "demo-2", status=told_it)
    assert told(planned(facts, half_done(*roll("demo-2")))).stops == ["AlarmActive"]


def test_a_cluster_that_has_formed_is_never_taken_off_its_hosts() -> None:
    """Also while it has no quorum: its hosts may just be booting."""
    steps = [("form the cluster", FormMember(host.name, fresh=True)) for host in DEMO.hosts]
    left = half_done(*steps, unfinished=("pin the cluster",), undoes="all")
    facts = facts_of({host.name: stopped(DEMO, host) for host in DEMO.hosts})
    assert set(told(planned(facts, left)).stops) == {"ClusterServes"}


def test_what_another_controller_did_since_is_left_alone() -> None:
    since = machine(guard=GuardFacts("other@there:1:ff", 8, 1))
    facts = changed(healthy_facts(DEMO), "demo-3", host=since)
    assert told(planned(facts, half_done(*roll("demo-2")))).stops == ["AnotherHasActed"]


@pytest.mark.parametrize("holder", ["me@here:1:aa", "-me@here:1:aa"])
def test_an_operation_of_its_own_is_known_by_name_whatever_its_number_on_a_host(
    holder: str,
) -> None:
    """A host that is ahead is shown a number above its own, and the others are not."""
    since = machine(guard=GuardFacts(holder, 900, 1))
    facts = changed(healthy_facts(DEMO), "demo-3", host=since)
    left = replace(half_done(*roll("demo-2")), holders=frozenset({"me@here:1:aa"}))
    assert told(planned(facts, left)).stops == []


def test_a_host_that_was_put_back_is_not_judged_again() -> None:
    """It serves again, and taking it down once more would lose the quorum that it has brought back."""
    facts = with_host(healthy_facts(DEMO), "demo-3", stopped(DEMO, DEMO.hosts[2]))
    left = half_done(*roll("demo-2"))
    plan = plan_etcd_rollback(DEMO, facts, left, allow_downtime=False, done=frozenset({"demo-2"}))
    assert (plan.groups, plan.refused) == ((), False)


def test_a_host_that_the_spec_no_longer_names_is_told_and_left() -> None:
    left = half_done(*roll("demo-9"), *roll("demo-2"), unfinished=("demo-9", "demo-2"))
    plan = planned(healthy_facts(DEMO), left)
    assert [group.title for group in plan.groups] == ["demo-2"]
    assert told(plan).warns == ["HostNotInSpec"]
