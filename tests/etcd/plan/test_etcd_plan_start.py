"""Stopped members: started alone, or all at once when there is no quorum."""

from __future__ import annotations

from dataclasses import replace

from quoracy.etcd.plan.deploy import plan_etcd_deploy
from quoracy.hosts.machine import HostSilent
from quoracy.operation.plan import Plan
from tests.etcd_factories import (
    OLD,
    changed,
    facts_of,
    healthy_facts,
    request,
    running,
    running_unit,
    spec,
    status,
    stopped,
    stopped_unit,
    told,
    with_host,
)

WANTED = spec()


def names(plan: Plan) -> list[str]:
    return [f"{step.host} {step.name}" for _, step in plan.steps]


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


def test_without_quorum_members_are_started_as_they_lie_on_disk_and_changes_wait() -> None:
    """One member was switched when the quorum was lost: neither way is a change of its data."""
    old = spec(version=OLD)
    facts = facts_of({h.name: stopped(old, h) for h in old.hosts})
    facts = with_host(facts, "demo-1", stopped(WANTED, WANTED.hosts[0]))
    plan = plan_etcd_deploy(WANTED, facts, request())
    assert (told(plan).stops, told(plan).warns) == ([], ["ChangesWait"])
    assert names(plan) == [
        f"demo-{n} {name}" for n in (1, 2, 3) for name in ("start-member", "await-member")
    ]
    assert plan.kind == "start"
    assert plan.before == ()


def test_once_the_quorum_is_back_such_a_run_leaves_the_changes_alone() -> None:
    facts = healthy_facts(spec(version=OLD))
    plan = plan_etcd_deploy(WANTED, facts, request(start_only=True))
    assert (plan.kind, plan.groups, plan.refused) == ("nothing", (), False)


def test_without_quorum_and_nothing_to_start_the_run_is_refused() -> None:
    facts = healthy_facts(WANTED, healthy=False, members=None)
    plan = plan_etcd_deploy(WANTED, facts, request())
    assert told(plan).stops == ["NotQuorate"]


def test_without_quorum_what_was_edited_since_it_was_deployed_is_put_right_first() -> None:
    facts = facts_of({h.name: stopped(WANTED, h) for h in WANTED.hosts})
    facts = changed(facts, "demo-2", unit_file=None)
    plan = plan_etcd_deploy(WANTED, facts, request())
    assert [
        step.name for group in plan.groups for step in group.steps if step.host == "demo-2"
    ] == [
        "stage-generation",
        "switch-generation",
        "start-member",
        "await-member",
    ]


def test_a_unit_that_would_not_start_at_boot_is_enabled_and_nothing_restarted() -> None:
    unit = replace(running_unit(), enabled=False)
    plan = plan_etcd_deploy(WANTED, changed(healthy_facts(WANTED), "demo-2", unit=unit), request())
    assert names(plan) == ["demo-2 enable-member"]
    assert not any(group.gate for group in plan.groups)


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


def test_after_a_power_failure_two_of_three_are_started_though_the_third_stays_dark() -> None:
    third = HostSilent("no route")
    facts = facts_of({h.name: stopped(WANTED, h) for h in WANTED.hosts[:2]} | {"demo-3": third})
    plan = plan_etcd_deploy(WANTED, facts, request())
    assert (plan.kind, plan.refused) == ("start", False)
    assert {step.host for _, step in plan.steps} == {"demo-1", "demo-2"}
    assert "HostSilent" in told(plan).warns
    up = facts_of({h.name: running(WANTED, h) for h in WANTED.hosts[:2]} | {"demo-3": third})
    again = plan_etcd_deploy(WANTED, up, request(start_only=True))
    assert (again.groups, again.refused) == ((), False)
    assert plan_etcd_deploy(WANTED, up, request()).refused, "with a quorum nothing is done blindly"


def test_a_release_that_is_gone_is_put_there_before_the_start() -> None:
    facts = facts_of({h.name: stopped(WANTED, h, releases={}) for h in WANTED.hosts})
    plan = plan_etcd_deploy(WANTED, facts, request())
    assert names(plan)[:3] == [
        "demo-1 install-release",
        "demo-1 start-member",
        "demo-1 await-member",
    ]
