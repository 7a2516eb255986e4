"""What scenarios read off plans and stores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from quoracy.operation.plan import Plan


def stored_files(directory: Path) -> dict[str, int]:
    """Modification time (nanoseconds) of every snapshot in a directory store, by path."""
    return {str(p): p.stat().st_mtime_ns for p in directory.rglob("*.db")}


def reasons(plan: Plan) -> set[str]:
    """Reasons of all verdicts that stop."""
    return {verdict.reason for verdict in plan.verdicts if verdict.stops}


def warnings(plan: Plan) -> set[str]:
    """Reasons of the verdicts that do not stop."""
    return {verdict.reason for verdict in plan.verdicts if not verdict.stops}


def advice(plan: Plan) -> str:
    """What the user is told to do next, of the verdicts that stop or warn."""
    return "\n".join(verdict.next_step for verdict in plan.verdicts if verdict.next_step)


def step_names(plan: Plan, host: str = "") -> list[str]:
    """The plan's steps in order, of one host when it is given."""
    return [step.name for _, step in plan.steps if host in ("", step.host)]


def members(plan: Plan) -> Sequence[str]:
    """The members that the plan works on one by one, in order."""
    return [group.title for group in plan.groups if group.hosts]
