"""Faults under way: the cases, each a fault at a step, and what became of one."""

from __future__ import annotations

from dataclasses import dataclass

from tests.faults.faults_makers import BYSTANDER_FAULTS, HOST_FAULTS, STEPS
from tests.faults.faults_rig import Seen

CONTROLLER_DISK = "controller's disk is full; freed after the run"
STORE_DISK = "the backup store is full; freed after the run"
DATABASE = "database locked for 45 s by another process"
STOPPED = "controller stopped for 120 s, another one takes over; same database"
STOPPED_APART = "controller stopped for 120 s, another one takes over; a database of its own"


@dataclass(frozen=True, slots=True)
class Under:
    """One case: a fault at a step, at the host worked on or at another one."""

    fault: str
    step: str
    members: int
    number: int
    bystander: bool = False

    @property
    def title(self) -> str:
        """One line for the progress and the table."""
        return f"{self.label} at {self.step} ({self.members} members)"

    @property
    def label(self) -> str:
        """The fault's name in the table."""
        return f"another {self.fault}" if self.bystander else self.fault


@dataclass(slots=True)
class UnderResult:
    """What became of a case.

    Attributes:
        outcome: How the run under the fault ended.
        message: What it said.
        problem: Why it is no success; "" when it is one.
        seen: From before the fault to after the run that converged.
    """

    case: Under
    outcome: str = ""
    message: str = ""
    problem: str = ""
    seen: Seen | None = None
    seconds: float = 0.0


def under_cases(members: int, seed: int) -> list[Under]:
    """All cases for a number of members; which of them is hit follows from the seed."""
    cases: list[Under] = []
    for place, step in enumerate(STEPS):
        number = (seed + place) % members
        if members >= 5:
            cases += [Under(one.name, step, members, number, True) for one in BYSTANDER_FAULTS]
            continue
        cases += [Under(one.name, step, members, number) for one in HOST_FAULTS]
        cases += [Under(name, step, members, number) for name in (CONTROLLER_DISK, DATABASE)]
        cases.append(Under((STOPPED, STOPPED_APART)[place % 2], step, members, 0))
    if members < 5:
        cases.append(Under(STORE_DISK, STEPS[0], members, 0))
    return cases
