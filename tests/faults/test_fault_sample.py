"""A sample of the kill points and of a controller that wakes up too late; all of them: `make bench-faults`.

The seed is new in each run and printed; QUORACY_FAULT_SEED repeats one.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator

import pytest

from lab.lab import Lab
from tests.faults.faults_cases import STOPPED, STOPPED_APART, Under, UnderResult
from tests.faults.faults_kills import Kill, Operation, points, record, run_kills
from tests.faults.faults_rig import OLD, Rig
from tests.faults.faults_stopped import run_stopped
from tests.faults.faults_underway import run_under

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

KILLS = {"upgrade": 2, "create": 1}
Say = Callable[[str], None]


@pytest.fixture(scope="module")
def seed() -> int:
    return int(os.environ.get("QUORACY_FAULT_SEED") or random.SystemRandom().randrange(10**6))


@pytest.fixture(scope="module")
def rig(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A cluster of three; every case leaves it whole."""
    rig = Rig(lab, tmp_path_factory.mktemp("faults") / "rig", "faulty", 3)
    rig.create(OLD)
    yield rig
    rig.raze()


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Print past pytest's capture: the seed must stand in the log of a run that passes, too."""

    def tell(text: str) -> None:
        with capsys.disabled():
            print(f"\n{text}", flush=True)

    return tell


def choose(cases: list[Kill], number: int, seed: int) -> list[Kill]:
    """Kills before, in the middle of and after a call that each run makes, in turns from run to run."""
    dice = random.Random(seed)
    cases = [case for case in cases if not case.point.call.occurrence]
    whens = ("before", "middle", "after")
    return [
        dice.choice([case for case in cases if case.point.when == whens[(seed + place) % 3]])
        for place in range(number)
    ]


# The create comes last: its cases leave no cluster to upgrade.
def test_a_woken_controller_is_refused_by_its_fencing_number(rig: Rig, seed: int, say: Say) -> None:
    say(f"QUORACY_FAULT_SEED={seed}")
    fault = (STOPPED, STOPPED_APART)[seed % 2]
    result = UnderResult(Under(fault, "stop-member", 3, 0))
    rig.apply("3.5.30")
    run_stopped(rig, result.case, result, stopped_s=0.0)
    assert result.problem == ""
    assert result.seen is not None
    assert (result.seen.lost, result.seen.below_quorum) == (0, 0)


def test_a_pause_under_way_costs_no_quorum(rig: Rig, seed: int) -> None:
    step = ("stop-member", "switch-generation", "start-member", "await-member")[seed % 4]
    result = run_under(rig, Under("host pauses for 5 s", step, 3, seed % 3))
    assert (result.problem, result.outcome) == ("", "done"), result.message


@pytest.mark.parametrize("operation", ["upgrade", "create"])
def test_killed_anywhere_the_next_run_converges(
    rig: Rig, seed: int, say: Say, operation: Operation
) -> None:
    recorded = record(rig, operation)
    cases = points(operation, 3, recorded, seed)
    say(
        f"QUORACY_FAULT_SEED={seed}: {KILLS[operation]} of {len(cases)} kill points, {operation} of 3"
    )
    for case in choose(cases, KILLS[operation], seed):
        (result,) = run_kills(rig, [case])
        say(f"{result.case.title}: {result.died} -> {result.outcome} ({result.seconds:.0f} s)")
        assert result.problem == "", result.case.title
        assert (result.seen.lost, result.seen.below_quorum) == (0, 0)
