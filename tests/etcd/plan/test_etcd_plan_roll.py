"""Whole rolls: all multisets of member states and leaders up to five, applied to their end by the real loop.

The world judges the laws (`simulator.steps`); it knows neither plan nor checks. Up to seven members,
and interrupted after each step: test_etcd_plan_exhaustive.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from quoracy.operation.plan import Plan
from tests.etcd_factories import told
from tests.simulator.rolls import KINDS, Work, as_wanted, plan_of, setting_of, worlds
from tests.simulator.world import Setting, World

ALL = ("old", "new", "switched", "down", "down-new", "failed", "cut-old", "cut-new")
FEW = ("old", "new", "down", "cut-old")


def order_is_right(world: World, plan: Plan, setting: Setting) -> bool:
    """Members that are not healthy first, the leader last."""
    touched = [setting.index(group.title) for group in plan.groups if group.hosts]
    healthy = [index in world.healthy for index in touched]
    leader_last = world.leader not in touched[:-1]
    return healthy == sorted(healthy) and leader_last


def expected_refusal(setting: Setting, world: World) -> set[str]:
    """Counted here anew: which reasons a plan must be refused for."""
    if not world.quorate:
        return set() if any(not host.up for host in world.hosts) else {"NotQuorate"}
    stops = any(host.runs == "old" for host in world.hosts)
    small = len(world.hosts) <= 2 and not setting.downtime
    return {"DowntimeNeeded"} if small and stops else set()


def outcome(setting: Setting, world: World) -> str:
    """How a deploy ends; asserts what must hold of it."""
    plan = plan_of(setting, world)
    stops = set(told(plan).stops)
    if any(host.cut for host in world.hosts):
        stops -= {
            "QuorumWouldBeLost"
        }  # at the first of them, or later: who is cut off may be needed
    assert stops == expected_refusal(setting, world), f"{told(plan)}: {world}"
    assert order_is_right(world, plan, setting), str(world)
    work = Work(setting, world)
    error = work.carry()
    assert work.violations == []
    if plan.refused:
        assert work.world == world
        return "refused"
    if error is not None:
        assert any(host.cut for host in world.hosts), f"{error}: {world}"
        require_others_up(world, work.world)
        return "stopped"
    if plan.kind == "start":
        assert all(host.up for host in work.world.hosts)
        assert work.world.backups == 0
        return "started"
    assert as_wanted(work.world), f"{world} -> {work.world}"
    return "done"


def require_others_up(before: World, after: World) -> None:
    """A roll that stops has taken nobody down."""
    for was, now in zip(before.hosts, after.hosts, strict=True):
        assert now.up or not was.up, f"{before} -> {after}"


@pytest.mark.parametrize(
    ("count", "downtime", "kinds"),
    [
        (1, False, ALL),
        (1, True, ALL),
        (2, False, ALL),
        (2, True, ALL),
        (3, False, ALL),
        (4, False, (*FEW, "switched", "failed")),
        (5, False, FEW),
    ],
)
def test_every_roll_ends_within_the_laws(
    count: int, downtime: bool, kinds: tuple[str, ...], say: Callable[[str], None]
) -> None:
    setting = setting_of(count, downtime)
    ends = [outcome(setting, world) for world in worlds(count, kinds)]
    counted = ", ".join(f"{ends.count(end)} {end}" for end in sorted(set(ends)))
    say(f"{count} members of {len(kinds)} kinds, downtime={downtime}: {len(ends)} rolls, {counted}")
    assert "done" in ends


@pytest.mark.parametrize("leader", range(7))
def test_seven_members_are_rolled_one_by_one_and_the_leader_last(leader: int) -> None:
    setting = setting_of(7)
    world = World((KINDS["old"],) * 7, leader)
    plan = plan_of(setting, world)
    assert plan.groups[0].title == "prepare hosts"
    assert plan.groups[-1].title == f"demo-{leader + 1}"
    work = Work(setting, world)
    assert work.carry() is None
    assert as_wanted(work.world)
    assert work.world.backups == 1


def test_the_order_of_the_hosts_changes_no_more_than_the_order_of_the_work() -> None:
    """What the exhaustive test takes for granted, where worlds that differ only in it are one."""
    setting = setting_of(3)
    for world in worlds(3, ("old", "new", "down", "learner", "unstarted", "switched")):
        for turned in (1, 2):
            hosts = (*world.hosts[turned:], *world.hosts[:turned])
            leader = None if world.leader is None else (world.leader - turned) % 3
            other = replace(world, hosts=hosts, leader=leader)
            assert other.sorted() == world.sorted()
            assert _shape(setting, other) == _shape(setting, world), str(world)


def _shape(setting: Setting, world: World) -> object:
    """What a plan does, told by the state of the hosts and not by their names."""
    plan = plan_of(setting, world)
    work = [
        sorted((str(world.hosts[setting.index(step.host)]), step.name) for step in group.steps)
        for group in plan.groups
    ]
    return plan.refused, plan.kind, sorted(told(plan).stops), sorted(work)
