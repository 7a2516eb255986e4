"""Every roll there is: all multisets of member states and leaders, applied by the real loop.

The world judges the laws (tests/etcd_world.py); it knows neither plan nor checks. What a killed run
leaves behind is a state of the same kind, so it is enough that every state converges, and that every
state met on the way is one of those that are tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import combinations_with_replacement
from threading import RLock
from typing import cast

import pytest
from etcd_factories import NEW, OLD, request, spec, told
from etcd_world import KINDS, Kind, Setting, Stuck, Violation, World, apply, as_wanted, facts

from quoracy.checks.quorum import check_can_stop
from quoracy.checks.verdict import require
from quoracy.errors import QuoracyError, RollbackFailed, RolledBack
from quoracy.operate.journal import Journal
from quoracy.operate.loop import carry_out
from quoracy.plan.etcd_deploy import plan_etcd_deploy
from quoracy.plan.plan import Group, Plan, Step


@cache
def setting_of(count: int, downtime: bool = False) -> Setting:
    return Setting(spec(count, version=OLD), spec(count, version=NEW), downtime)


class _Silent:
    """The journal is not what is tested here."""

    def plan(self, plan: Plan) -> None:
        pass

    def step(self, step: Step, act: Callable[[Step], str]) -> None:
        act(step)

    def undo(self, step: Step, group: str, act: Callable[[Step], str]) -> None:
        act(step)


@dataclass
class _Work:
    """The loop's view of a world; `fail_at` is the place of the step that does not succeed.

    `cut_at`: after so many steps, this member loses its network.
    """

    setting: Setting
    world: World
    fail_at: int | None = None
    cut_at: tuple[int, int] | None = None
    violations: list[Violation] = field(default_factory=list)
    taken: list[Step] = field(default_factory=list)
    waiting: list[Step] | None = None
    lock: RLock = field(default_factory=RLock)
    met: list[World] = field(default_factory=list)

    def look(self) -> Plan:
        return plan_of(self.setting, self.world)

    def gate(self, group: Group) -> None:
        if group.stops_voter:
            seen = facts(self.setting, self.world)
            require([check_can_stop(seen, group.member, allow_downtime=self.setting.downtime)])

    def apply(self, step: Step) -> str:
        with self.lock:
            self._take(step)
        return ""

    def _take(self, step: Step) -> None:
        if self.fail_at == len(self.taken):
            self.fail_at = None
            raise Stuck(f"{step.name} on {step.host} was made to fail")
        self.taken.append(step)
        if step.name == "await-member" and self.waiting is not None:
            self.waiting.append(step)
            return
        try:
            self.world = apply(self.setting, self.world, step)
        except Violation as violation:
            self.violations.append(violation)
            raise
        self.met.append(self.world)
        if self.cut_at is not None and self.cut_at[0] == len(self.taken):
            self.world = _cut_off(self.world, self.cut_at[1])

    def enter(self, group: Group, body: Callable[[], None]) -> None:
        # Side by side, one member waits while the others start: waiting ends with the group.
        self.waiting = [] if group.parallel else None
        body()
        waited, self.waiting = self.waiting or [], None
        for step in waited:
            self.world = apply(self.setting, self.world, step)


_PLANS: dict[tuple[int, bool, World], Plan] = {}


def plan_of(setting: Setting, world: World) -> Plan:
    """Plans are pure, so each world's is made once."""
    key = (len(world.members), setting.downtime, world)
    if key not in _PLANS:
        asked = request(allow_downtime=setting.downtime)
        _PLANS[key] = plan_etcd_deploy(setting.new, facts(setting, world), asked)
    return _PLANS[key]


def carry(work: _Work) -> QuoracyError | Stuck | None:
    """Apply the plan of the work's world by the real loop; what stopped it, if anything."""
    plan = work.look()
    if plan.refused:
        return None
    try:
        carry_out(plan, work, cast(Journal, _Silent()))
    except (QuoracyError, Stuck) as error:
        return error
    return None


def worlds(count: int, kinds: tuple[str, ...] = tuple(KINDS)) -> Iterator[World]:
    """All multisets of states, each with every different leader that it may have."""
    for names in combinations_with_replacement(kinds, count):
        members = tuple(KINDS[name] for name in names)
        healthy = World(members, None).healthy
        leaders = {members[i]: i for i in sorted(healthy)}.values() or [None]
        for leader in leaders:
            yield World(members, leader)


def order_is_right(world: World, plan: Plan, setting: Setting) -> bool:
    """Members that are not healthy first, the leader last."""
    touched = [setting.index(group.member) for group in plan.groups if group.member]
    healthy = [index in world.healthy for index in touched]
    leader_last = world.leader not in touched[:-1]
    return healthy == sorted(healthy) and leader_last


def expected_refusal(setting: Setting, world: World) -> set[str]:
    """Counted here anew: which reasons a plan must be refused for."""
    different = any("old" in (m.disk, m.runs if m.up else m.disk) for m in world.members)
    running = any(m.up and m.runs == "old" for m in world.members)
    small = len(world.members) <= 2 and not setting.downtime
    return {
        reason
        for reason, applies in {
            "NotQuorate": different and not world.healthy,
            "DowntimeNeeded": small and running,
        }.items()
        if applies
    }


def is_down(member: Kind) -> bool:
    return not member.up


@pytest.mark.parametrize(
    ("count", "downtime"),
    [(1, False), (1, True), (2, False), (2, True), (3, False), (4, False), (5, False)],
)
def test_every_roll_converges_within_the_laws(
    count: int, downtime: bool, say: Callable[[str], None]
) -> None:
    setting = setting_of(count, downtime)
    known = set(KINDS.values())
    tried = done = refused = stopped = interrupted = 0
    kinds = (
        tuple(KINDS) if count < 5 else ("old", "new", "switched", "down-old", "down-new", "cut-old")
    )
    for world in worlds(count, kinds):
        tried += 1
        plan = plan_of(setting, world)
        assert set(told(plan).stops) == expected_refusal(setting, world), (world, told(plan))
        assert order_is_right(world, plan, setting), world
        work = _Work(setting, world)
        error = carry(work)
        if plan.refused:
            refused += 1
            assert work.world == world
        elif error is None:
            done += 1
            assert as_wanted(_healed(work.world)), (world, work.world)
            assert plan_of(setting, work.world).kind == "nothing"
        else:
            stopped += 1
            assert any(member.cut for member in world.members), (world, error)
            assert_others_untouched(world, work)
        for met in work.met:
            interrupted += 1
            assert {_known_form(m) for m in met.members} <= known, (world, met)
    say(
        f"{count} members, downtime={downtime}: {tried} states, {done} done, {refused} refused, "
        f"{stopped} stopped at a member that is cut off, {interrupted} interruptions"
    )
    assert done


def _healed(world: World) -> World:
    """The world as it will be when the network is back."""
    members = tuple(Kind(m.up, m.runs, m.disk, m.failed) for m in world.members)
    return World(members, world.leader)


def assert_others_untouched(before: World, work: _Work) -> None:
    """A roll that stops at one member has left those after it alone; nobody is taken down."""
    for was, now in zip(before.members, work.world.members, strict=True):
        assert now.up or is_down(was), (before, work.world)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_roll_that_fails_at_any_step_is_put_back_and_the_next_one_converges(
    count: int, say: Callable[[str], None]
) -> None:
    setting = setting_of(count, count <= 2)
    kinds = ("old", "new", "switched", "down-old", "down-new")
    tried = 0
    for world in worlds(count, kinds):
        plan = plan_of(setting, world)
        if plan.refused:
            continue
        for fail_at in range(len(list(plan.steps))):
            tried += 1
            work = _Work(setting, world, fail_at)
            error = carry(work)
            assert error is not None
            assert not isinstance(error, Violation)
            assert not isinstance(error, RollbackFailed), (world, fail_at, error)
            if isinstance(error, RolledBack):
                assert_others_untouched(world, work)
            again = _Work(setting, work.world)
            assert carry(again) is None, (world, fail_at)
            assert as_wanted(again.world)
    say(f"{count} members: {tried} failing steps")
    assert tried


def _cut_off(world: World, index: int) -> World:
    members = list(world.members)
    members[index] = replace(members[index], cut=True)
    return replace(world, members=tuple(members)).with_leader()


@pytest.mark.parametrize("count", [3, 4])
def test_a_member_that_is_lost_on_the_way_stops_the_roll_before_the_quorum_is(
    count: int, say: Callable[[str], None]
) -> None:
    """After any step any member may lose its network: the gate must see it before the next stop."""
    setting = setting_of(count)
    tried = stopped = 0
    for world in worlds(count, ("old", "new", "down-old")):
        plan = plan_of(setting, world)
        if plan.refused:
            continue
        for place in range(1, len(list(plan.steps)) + 1):
            for victim in range(count):
                tried += 1
                work = _Work(setting, world, cut_at=(place, victim))
                error = carry(work)
                stopped += error is not None
                assert work.violations == [], (world, place, victim, error)
    say(f"{count} members: {tried} times a member was lost, {stopped} rolls stopped")
    assert 0 < stopped < tried


def _known_form(member: Kind) -> Kind:
    """What a stopped member ran with last, and whether it is cut off, no longer tells."""
    if member.up:
        return member
    return Kind(False, "old", member.disk, member.failed)


@pytest.mark.parametrize("leader", range(7))
def test_seven_members_are_rolled_one_by_one_and_the_leader_last(leader: int) -> None:
    setting = setting_of(7)
    world = World((KINDS["old"],) * 7, leader)
    plan = plan_of(setting, world)
    assert plan.groups[0].title == "prepare hosts"
    assert plan.groups[-1].member == f"demo-{leader + 1}"
    work = _Work(setting, world)
    assert carry(work) is None
    assert as_wanted(work.world)
    assert work.world.backups == 1
