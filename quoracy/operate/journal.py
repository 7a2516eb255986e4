"""The journal of one operation as the loop writes it: each step is told before and after it acts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

from quoracy.db.operations import PlannedStep, StepEnd, plan_steps, step_ended, step_started
from quoracy.db.session import Database
from quoracy.errors import QuoracyError
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
        self.unwritten: list[str] = []

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
        place = self._place(step)
        step_started(self._db, self._operation_id, place, now=_now())
        self._act(place, step, act, done="done", failed="failed", strict=True)

    def undo(self, step: Step, group: str, act: Callable[[Step], str]) -> None:
        """Carry out one step of putting back, as a row of its own; also when no row can be written.

        What could not be written is kept in `unwritten`.
        """
        with self._lock:
            place = max(self._places.values(), default=0) + 1
            self._places[(step.host, step.name, f"undo {place}")] = place
        row = PlannedStep(place, group, step.host, step.name, step.title, "put back")
        try:
            plan_steps(self._db, self._operation_id, [row])
            step_started(self._db, self._operation_id, place, now=_now())
        except QuoracyError as error:
            self.unwritten.append(str(error))
        self._act(place, step, act, done="undone", failed="undo_failed", strict=False)

    def _act(
        self,
        place: int,
        step: Step,
        act: Callable[[Step], str],
        *,
        done: StepEnd,
        failed: StepEnd,
        strict: bool,
    ) -> None:
        try:
            detail = act(step)
        except BaseException as error:
            self._end(place, failed, str(error) or type(error).__name__, strict=False)
            raise
        self._end(place, done, detail, strict=strict)

    def _end(self, place: int, state: StepEnd, detail: str, *, strict: bool) -> None:
        try:
            step_ended(self._db, self._operation_id, place, state=state, now=_now(), detail=detail)
        except QuoracyError as error:
            if strict:
                raise
            self.unwritten.append(str(error))

    def _place(self, step: Step) -> int:
        return self._places[(step.host, step.name, step.title)]


def _now() -> datetime:
    return datetime.now(UTC)
