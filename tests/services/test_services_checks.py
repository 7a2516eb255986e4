"""The verdicts of the gate."""

from __future__ import annotations

from dataclasses import replace

import pytest

from quoracy.services.checks import check_alive, check_answer, check_gate, check_process
from quoracy.services.facts_state import UnitState
from tests.service_factories import service

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
        (replace(WELL, stranger=True), [True] * 3, "AnotherAnswers"),
    ],
)
def test_anything_else_fails(end: UnitState, answers: list[bool], reason: str) -> None:
    verdict = check_gate(WEB, WELL, end, answers)
    assert (verdict.reason, verdict.stops) == (reason, True)


def test_nginx_works_in_no_release() -> None:
    static = service(service_type="static")
    assert not check_process(static, replace(WELL, inside=False)).stops
    assert check_process(static, replace(WELL, active="inactive", inside=False)).stops


def test_who_else_answers_is_told_with_where_to_look() -> None:
    verdict = check_process(WEB, replace(WELL, stranger=True))
    assert verdict.message == "something else answers on port 3000"
    assert "ss -ltnp" in verdict.next_step


@pytest.mark.parametrize(
    ("status", "same_file", "reason", "advised"),
    [
        (200, None, "Answered", False),
        (204, True, "Answered", False),
        (200, False, "AnotherFile", True),
        (404, None, "AnotherStatus", False),
        (404, False, "AnotherStatus", True),
        (0, False, "NoAnswer", True),
        (301, None, "AnotherStatus", False),
    ],
)
def test_an_answer_speaks_for_the_release_or_says_why_not(
    status: int, same_file: bool | None, reason: str, advised: bool
) -> None:
    site = service(service_type="static", app_port=8080)
    verdict = check_answer(site, "/", status=status, problem="", same_file=same_file)
    advice = "let nginx serve /var/www/web on port 8080 (see docs/service-config.md), and reload it"
    assert (verdict.reason, verdict.next_step) == (reason, advice if advised else "")


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
