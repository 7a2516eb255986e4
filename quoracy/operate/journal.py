"""The journal of one operation as the loop writes it: each step is told before and after it acts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

from quoracy.db.operations import PlannedStep, StepEnd, plan_steps, step_ended, step_started
from quoracy.db.session import Database
from quoracy.plan.plan import Plan, Step


class Journal:
    """Writes what is planned, begun and done; when it cannot be written no new step starts (law 4).

    Args:
        db: Where the rows go.
        operation_id: The operation they belong to.
    """

    def __init__(self, db: Database, operation_id: str) -> None:
        self._db = db
        self._operation_id = operation_id
        self._places: dict[tuple[str, str, str], int] = {}
        self._lock = threading.Lock()

    def plan(self, plan: Plan) -> None:
        """Record all steps of the plan, before the first of them starts."""
        rows = [
            PlannedStep(place, group, step.host, step.name, step.title, "")
            for place, (group, step) in enumerate(plan.steps, 1)
        ]
        for row in rows:
            self._places[(row.host, row.name, row.title)] = row.seq
        plan_steps(self._db, self._operation_id, rows)

    def step(self, step: Step, act: Callable[[Step], str]) -> None:
        """Carry out one step between its two rows."""
        self._carry_out(self._place(step), step, act, done="done", failed="failed")

    def undo(self, step: Step, group: str, act: Callable[[Step], str]) -> None:
        """Carry out one step of putting back, as a row of its own."""
        with self._lock:
            place = max(self._places.values(), default=0) + 1
            self._places[(step.host, step.name, f"undo {place}")] = place
        row = PlannedStep(place, group, step.host, step.name, step.title, "put back")
        plan_steps(self._db, self._operation_id, [row])
        self._carry_out(place, step, act, done="undone", failed="undo_failed")

    def _carry_out(
        self, place: int, step: Step, act: Callable[[Step], str], *, done: StepEnd, failed: StepEnd
    ) -> None:
        step_started(self._db, self._operation_id, place, now=_now())
        try:
            detail = act(step)
        except BaseException as error:
            self._end(place, failed, str(error) or type(error).__name__)
            raise
        self._end(place, done, detail)

    def _end(self, place: int, state: StepEnd, detail: str) -> None:
        step_ended(self._db, self._operation_id, place, state=state, now=_now(), detail=detail)

    def _place(self, step: Step) -> int:
        return self._places[(step.host, step.name, step.title)]


def _now() -> datetime:
    return datetime.now(UTC)
