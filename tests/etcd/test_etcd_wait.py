"""Waiting for a member: what counts as fit, on a clock of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from quoracy.errors import StepFailed
from quoracy.etcd.facts import MemberPoll
from quoracy.etcd.wait import await_member
from tests.etcd_factories import running_unit, spec

DEMO = spec(systemd={"start_timeout_s": 10})
HOST = DEMO.hosts[1]


class Member:
    """A member whose process started at uptime 100; each look costs 0.05 s of the test's clock."""

    def __init__(self, look: Callable[[float], MemberPoll]) -> None:
        self.now = 100.2
        self.looks: list[tuple[str, float]] = []
        self._look = look

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def clock(self) -> float:
        return self.now

    def poll(self) -> MemberPoll:
        return self._seen("poll")

    def last_look(self) -> MemberPoll:
        return self._seen("last look")

    def wait(self) -> str:
        return await_member(
            DEMO, HOST.name, self.poll, self.last_look, sleep=self.sleep, clock=self.clock
        )

    def _seen(self, kind: str) -> MemberPoll:
        self.looks.append((kind, self.now))
        seen = self._look(self.now)
        self.now += 0.05
        return seen


def fit(now: float, *, pid: int = 7) -> MemberPoll:
    unit = replace(running_unit(), pid=pid, started_s=100.0)
    return MemberPoll(unit=unit, uptime_s=now, healthy=True)


def test_three_reads_are_spread_over_two_election_timeouts_from_the_start() -> None:
    member = Member(fit)
    assert "3 reads in a row" in member.wait()
    kinds = [kind for kind, _ in member.looks]
    assert kinds == ["poll", "poll", "last look"]
    assert member.looks[-1][1] >= 102.0  # two election timeouts of 1,000 ms after the start
    assert member.looks[-1][1] < 102.1
    gaps = [b - a for (_, a), (_, b) in zip(member.looks, member.looks[1:], strict=False)]
    assert max(gaps) - min(gaps) < 0.1


def test_a_failed_read_starts_the_count_again() -> None:
    member = Member(lambda now: replace(fit(now), healthy=not 101.0 < now < 101.5))
    member.wait()
    failed_at = max(at for _, at in member.looks if 101.0 < at < 101.5)
    assert len([at for _, at in member.looks if at > failed_at]) >= 3


def test_a_member_that_does_not_become_fit_fails_the_step() -> None:
    """While it has not caught up, no linearizable read through it succeeds."""
    member = Member(lambda now: replace(fit(now), healthy=False))
    with pytest.raises(StepFailed, match="after 10 s") as failure:
        member.wait()
    assert failure.value.where == HOST.name
    assert "journalctl" in failure.value.next_step


def test_a_process_that_was_replaced_fails_the_step_at_once() -> None:
    member = Member(lambda now: fit(now, pid=7 if now < 101 else 8))
    with pytest.raises(StepFailed, match="restarted while it was waited for"):
        member.wait()
    assert member.now < 103


def test_a_restart_by_systemd_fails_the_step_at_once() -> None:
    def look(now: float) -> MemberPoll:
        seen = fit(now)
        return replace(seen, unit=replace(seen.unit, restarts=0 if now < 101 else 1))

    with pytest.raises(StepFailed, match="restarted"):
        Member(look).wait()


@pytest.mark.parametrize("active", ["inactive", "failed"])
def test_a_unit_that_has_ended_is_not_waited_for(active: str) -> None:
    def look(now: float) -> MemberPoll:
        unit = replace(fit(now).unit, active=active, pid=0)
        return replace(fit(now), unit=unit, healthy=False)

    member = Member(look)
    with pytest.raises(StepFailed, match=f"the member has ended \\(unit is {active}\\)"):
        member.wait()
    assert len(member.looks) == 1


def test_a_unit_that_systemd_starts_again_is_waited_for() -> None:
    def look(now: float) -> MemberPoll:
        seen = fit(now)
        if now > 100.5:
            return seen
        return replace(seen, unit=replace(seen.unit, active="activating"), healthy=False)

    assert "3 reads in a row" in Member(look).wait()
