"""The verdicts of the gate."""

from __future__ import annotations

from dataclasses import replace

import pytest
from service_factories import service

from quoracy.checks.service import check_alive, check_gate, check_process
from quoracy.facts.service_state import UnitState

WELL = UnitState("active", "running", 7, 0, inside=True)
WEB = service()


def test_the_same_process_in_the_release_with_enough_answers_passes() -> None:
    assert check_gate(WEB, WELL, WELL, [False, True, True, True]).reason == "Healthy"


@pytest.mark.parametrize(
    ("end", "answers", "reason"),
    [
        (WELL, [True, True], "NotHealthy"),
        (WELL, [True, True, True, False], "NotHealthy"),
        (WELL, [True, False, True, True], "NotHealthy"),
        (replace(WELL, main_pid=8), [True] * 3, "Restarted"),
        (replace(WELL, restarts=1), [True] * 3, "Restarted"),
        (replace(WELL, active="activating", sub="auto-restart"), [True] * 3, "NotRunning"),
        (replace(WELL, sub="exited"), [True] * 3, "NotRunning"),
        (replace(WELL, main_pid=0), [True] * 3, "NotRunning"),
        (
            replace(WELL, inside=False, works_in="/opt/web/releases/old"),
            [True] * 3,
            "AnotherRelease",
        ),
    ],
)
def test_anything_else_fails(end: UnitState, answers: list[bool], reason: str) -> None:
    verdict = check_gate(WEB, WELL, end, answers)
    assert (verdict.reason, verdict.stops) == (reason, True)


def test_nginx_works_in_no_release() -> None:
    static = service(service_type="static")
    assert not check_process(static, replace(WELL, inside=False)).stops
    assert check_process(static, replace(WELL, active="inactive", inside=False)).stops


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (WELL, "Alive"),
        (replace(WELL, restarts=4, active="activating"), "Alive"),
        (replace(WELL, restarts=5), "CrashLoop"),
        (replace(WELL, active="failed"), "UnitFailed"),
    ],
)
def test_waiting_ends_early_when_it_is_of_no_use(now: UnitState, reason: str) -> None:
    assert check_alive(replace(WELL, restarts=3), now).reason == reason
