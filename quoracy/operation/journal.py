"""The journal of one operation as the loop writes it: each step is told before and after it acts."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from quoracy.db.operations import (
    PlannedStep,
    StepEnd,
    drop_undo,
    plan_steps,
    step_ended,
    step_started,
)
from quoracy.db.session import Database
from quoracy.errors import QuoracyError
from quoracy.operation.plan import Plan
from quoracy.operation.step import Step, steps_as_json

PUT_BACK = "put back"
"""The reason of a step that undoes another."""


@dataclasses.dataclass(slots=True, eq=False)
class _Late:
    """A row of putting back that is not complete in the database yet."""

    row: PlannedStep
    started: datetime
    planned: bool = False
    begun: bool = False
    ended: datetime | None = None
    state: StepEnd = "undone"
    detail: str = ""


class Journal:
    """Writes what is planned, begun and done; when it cannot be written no new step starts (law 4).

    Args:
        db: Where the rows go.
        operation_id: The operation they belong to.

    Attributes:
        unwritten: What could not be written, for the operation's outcome.
    """

    def __init__(self, db: Database, operation_id: str) -> None:
        self._db = db
        self._operation_id = operation_id
        self._places: dict[str, int] = {}
        self._lock = threading.Lock()
        self._late: list[_Late] = []
        self._broken = False
        self.unwritten: list[str] = []

    def plan(self, plan: Plan) -> None:
        """Record all steps of the plan, before the first of them starts."""
        rows = []
        for place, (group, step) in enumerate(plan.steps, 1):
            undo = steps_as_json(step.undo)
            rows.append(PlannedStep(place, group, step.host, step.name, step.title, "", undo))
            self._places[step.canonical] = place
        plan_steps(self._db, self._operation_id, rows)

    def step(self, step: Step, act: Callable[[Step], str]) -> None:
        """Carry out one step between its two rows."""
        place = self._place(step)
        try:
            step_started(self._db, self._operation_id, place, now=_now())
        except QuoracyError:
            self._broken = True
            raise
        self._act(place, step, act)

    def keep(self, group: str | None) -> None:
        """Record that nothing of the group (None: of any) is put back, by a later process either."""
        drop_undo(self._db, self._operation_id, group)

    def all_put_back(self, group: str | None) -> None:
        """Record that all of the group (None: of all) was put back: no later process has to do it.

        Where that cannot be written, a later process puts back what is put back already.
        """
        if self._broken:
            return
        try:
            self.keep(group)
        except QuoracyError as error:
            self._broken = True
            self.unwritten.append(error.what)

    def undo(self, step: Step, group: str, act: Callable[[Step], str]) -> None:
        """Carry out one step of putting back, as a row of its own; also when no row can be written.

        A member is down meanwhile. Once a row could not be written, the database is not waited for
        again before all is put back: `catch_up` writes the rows then.
        """
        with self._lock:
            place = max(self._places.values(), default=0) + 1
            self._places[f"undo {place}"] = place
        late = _Late(PlannedStep(place, group, step.host, step.name, step.title, PUT_BACK), _now())
        self._late.append(late)
        self._write(self._begin, late)
        try:
            late.detail = act(step)
        except BaseException as error:
            late.state, late.detail = "undo_failed", _words(error)
            raise
        finally:
            late.ended = _now()
            self._write(self._finish, late)

    def catch_up(self) -> None:
        """Write the rows that could not be written; what cannot be written now stays in `unwritten`."""
        self._broken = False
        for late in list(self._late):
            self._write(self._begin, late)
            self._write(self._finish, late)
        if self._late:
            steps = ", ".join(f"{late.row.host}: {late.row.title}" for late in self._late)
            self.unwritten.append(f"putting back is not in the journal: {steps}")

    def _begin(self, late: _Late) -> None:
        if not late.planned:
            plan_steps(self._db, self._operation_id, [late.row])
            late.planned = True
        if not late.begun:
            step_started(self._db, self._operation_id, late.row.seq, now=late.started)
            late.begun = True

    def _finish(self, late: _Late) -> None:
        if not late.begun or late.ended is None:
            return
        step_ended(
            self._db,
            self._operation_id,
            late.row.seq,
            state=late.state,
            now=late.ended,
            detail=late.detail,
        )
        self._late.remove(late)

    def _write(self, write: Callable[[_Late], None], late: _Late) -> None:
        if self._broken or late not in self._late:
            return
        try:
            write(late)
        except QuoracyError as error:
            self._broken = True
            self.unwritten.append(error.what)

    def _act(self, place: int, step: Step, act: Callable[[Step], str]) -> None:
        try:
            detail = act(step)
        except BaseException as error:
            self._failed(place, _words(error))
            raise
        self._end(place, "done", detail)

    def _failed(self, place: int, said: str) -> None:
        try:
            self._end(place, "failed", said)
        except QuoracyError as error:
            self.unwritten.append(error.what)

    def _end(self, place: int, state: StepEnd, detail: str) -> None:
        try:
            step_ended(self._db, self._operation_id, place, state=state, now=_now(), detail=detail)
        except QuoracyError:
            self._broken = True
            raise

    def _place(self, step: Step) -> int:
        return self._places[step.canonical]


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _now() -> datetime:
    return datetime.now(UTC)
