"""The judge of a hundred redeployments: what it must find in the pollers' notes."""

from __future__ import annotations

from dataclasses import asdict, replace

from bench.poller_process import Answer, Stretch
from bench.pollers import Polled
from bench.redeploy_hundred import WAY_BACK_S, Many
from bench.redeploy_trees import Fault

TIMEOUT_S = 6.0


def seen(began: float, ended: float, release: str, *, status: int = 200) -> Stretch:
    answer = Answer(status, release, release, f"id-of-{release}")
    return Stretch(began, began, ended, 10, 0.001, **asdict(answer))


AS_IT_MUST_BE = Many(
    good=("good-0", "good-1"),
    broken={"broken-2": Fault.ANSWERS_500},
    outcomes={"good-0": "done", "good-1": "done", "broken-2": "rolled_back"},
    polled=Polled(
        (
            (
                seen(0.0, 1.0, "good-0"),
                seen(1.0, 2.0, "good-1"),
                seen(2.0, 2.0 + TIMEOUT_S, "broken-2", status=500),
                seen(9.0, 10.0, "good-1"),
            ),
        )
    ),
    gate_timeout_s=TIMEOUT_S,
)


def polled(*stretches: Stretch) -> Many:
    return replace(AS_IT_MUST_BE, polled=Polled((stretches,)))


def test_nothing_is_found_when_all_is_as_it_must_be() -> None:
    assert AS_IT_MUST_BE.problems() == []
    assert AS_IT_MUST_BE.longest_exposed_s == TIMEOUT_S


def test_an_answer_of_two_releases_is_found() -> None:
    mixed = replace(seen(1.5, 1.5, "good-1"), asset="good-0")
    (problem,) = polled(seen(0.0, 1.0, "good-0"), seen(1.0, 1.4, "good-1"), mixed).problems()
    assert problem == "an answer of good-1 and good-0"


def test_a_broken_release_that_stays_is_found() -> None:
    stays = seen(2.0, 2.1 + TIMEOUT_S + WAY_BACK_S, "broken-2")
    (problem,) = polled(seen(0.0, 1.0, "good-0"), seen(1.0, 2.0, "good-1"), stays).problems()
    assert "broken-2 (answers-500) was exposed" in problem


def test_a_broken_release_that_is_called_done_is_found() -> None:
    outcomes = {**AS_IT_MUST_BE.outcomes, "broken-2": "done"}
    (problem,) = replace(AS_IT_MUST_BE, outcomes=outcomes).problems()
    assert problem == "the redeployment of broken-2 ended as done, not rolled_back"


def test_a_release_that_never_served_is_found() -> None:
    (problem,) = polled(seen(0.0, 1.0, "good-0")).problems()
    assert problem == "no poller has seen good-1"


def test_releases_that_served_in_another_order_are_found() -> None:
    (problem,) = polled(seen(0.0, 1.0, "good-1"), seen(1.0, 2.0, "good-0")).problems()
    assert "another order" in problem
