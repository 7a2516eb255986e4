"""Rolls in which a step fails, or a member loses its network on the way: all places, up to four members."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from simulator.rolls import Work, as_wanted, plan_of, setting_of, worlds
from simulator.world import Violation

from quoracy.errors import RollbackFailed, RolledBack


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
