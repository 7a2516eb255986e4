"""Rolls in which a step fails, or a member loses its network on the way: all places, up to four members."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from quoracy.errors import Refused, RollbackFailed, RolledBack
from tests.simulator.rolls import Work, as_wanted, full_setting, plan_of, setting_of, worlds
from tests.simulator.world import Violation


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_roll_that_fails_at_any_step_is_put_back_and_the_next_one_converges(
    count: int, say: Callable[[str], None]
) -> None:
    setting = setting_of(count, count <= 2)
    kinds = ("old", "new", "switched", "down", "down-new")[: 5 if count < 4 else 3]
    tried = 0
    for world in worlds(count, kinds):
        plan = plan_of(setting, world)
        if plan.refused:
            continue
        for fail_at in range(len(list(plan.steps))):
            tried += 1
            work = Work(setting, world, fail_at)
            error = work.carry()
            assert error is not None
            assert not isinstance(error, Violation)
            assert not isinstance(error, RollbackFailed), f"{fail_at}: {error}: {world}"
            assert world.healthy <= work.world.healthy, f"{fail_at}: {world}"
            if isinstance(error, RolledBack):
                assert setting.index(work.failed) in world.healthy, f"{fail_at}: {world}"
            again = Work(setting, work.world)
            # Without quorum the first run starts what is stopped, and the second one changes it.
            for _ in range(2):
                assert again.carry() is None, f"{fail_at}: {world}"
                again = Work(setting, again.world)
            assert as_wanted(again.world)
    say(f"{count} members: {tried} failing steps")
    assert tried


@pytest.mark.parametrize("count", [3, 4])
def test_a_member_that_is_lost_on_the_way_stops_the_roll_before_the_quorum_is(
    count: int, say: Callable[[str], None]
) -> None:
    """After any step any member may lose its network: the gate must see it before the next stop."""
    setting = setting_of(count)
    tried = stopped = 0
    for world in worlds(count, ("old", "new", "down")):
        plan = plan_of(setting, world)
        if plan.refused:
            continue
        for place in range(1, len(list(plan.steps)) + 1):
            for victim in range(count):
                tried += 1
                work = Work(setting, world, cut_at=(place, victim))
                stopped += work.carry() is not None
                assert work.violations == [], f"{place}, {victim}: {world}"
    say(f"{count} members: {tried} times a member was lost, {stopped} rolls stopped")
    assert 0 < stopped < tried


@pytest.mark.parametrize("count", [3, 4])
def test_a_generation_that_is_edited_on_the_way_never_runs_and_takes_nobody_down(
    count: int, say: Callable[[str], None]
) -> None:
    """After any step, on any host: where it has not come into use yet, the host refuses it."""
    setting = setting_of(count)
    tried = refused = 0
    for world in worlds(count, ("old", "new")):
        for place in range(1, len(list(plan_of(setting, world).steps)) + 1):
            for victim in range(count):
                tried += 1
                work = Work(setting, world, spoil_at=(place, victim))
                error = work.carry()
                assert work.violations == [], f"{place}, {victim}: {world}"
                assert not isinstance(error, RollbackFailed), f"{place}, {victim}: {error}: {world}"
                assert all(host.up for host in work.world.hosts), (
                    f"{place}, {victim}: {error}: {world}"
                )
                refused += isinstance(error, Refused | RolledBack)
                again = Work(setting, work.world)
                assert again.carry() is None, f"{place}, {victim}: {world}"
                assert as_wanted(again.world)
                assert not any(host.spoiled for host in again.world.hosts)
    say(f"{count} members: {tried} times a generation was edited, {refused} times it was refused")
    assert 0 < refused < tried


@pytest.mark.parametrize("larger", [True, False])
def test_out_of_space_members_get_a_larger_quota_or_are_only_started(larger: bool) -> None:
    """The world judges: nobody is stopped for anything but a larger quota."""
    setting = full_setting(3, larger)
    for plain in worlds(3, ("old", "new", "switched", "down", "down-new")):
        world = replace(plain, alarms=frozenset({"NOSPACE"}))
        plan = plan_of(setting, world)
        if not world.quorate or larger:
            for _ in range(2):
                work = Work(setting, world)
                assert work.carry() is None, f"{plan.title}: {plan.verdicts}: {world}"
                world = work.world
            assert as_wanted(world) or not larger
        elif not all(host.current == "new" == (host.runs or "new") for host in world.hosts):
            assert [v.reason for v in plan.verdicts if v.stops] == ["AlarmActive"], f"{world}"
        else:
            assert Work(setting, world).carry() is None


def test_corrupt_data_stop_everything_there_is() -> None:
    setting = setting_of(3)
    for plain in worlds(3, ("old", "new", "switched", "down", "down-new", "failed", "disabled")):
        plan = plan_of(setting, replace(plain, alarms=frozenset({"CORRUPT"})))
        told = any(host.up for host in plain.hosts)
        assert (plan.refused, plan.groups == ()) == (told, told), f"{plan.title}: {plain}"
