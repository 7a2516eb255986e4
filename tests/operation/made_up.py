"""A made-up operation for tests of the loop, with a real journal in SQLite."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from quoracy.db.operations import NewOperation, start_operation, steps_of
from quoracy.db.session import Database
from quoracy.errors import (
    NotApproved,
    Refused,
)
from quoracy.operation.journal import Journal
from quoracy.operation.loop import carry_out
from quoracy.operation.plan import Group, Plan, StopVoter, Undoes
from quoracy.operation.step import Step

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Do(Step):
    """A step of any name; what puts it back is named by `back`."""

    name: str  # type: ignore[misc]
    back: str = ""

    @property
    def title(self) -> str:
        return f"do {self.name}"

    @property
    def undo(self) -> tuple[Step, ...]:
        return (Do(self.host, self.back),) if self.back else ()


def member(host: str) -> Group:
    steps = (Do(host, "stop", "start"), Do(host, "switch", "switch-back"), Do(host, "wait"))
    return Group(host, (host,), steps, gate=StopVoter(host))


def plan_of(*groups: Group, undoes: Undoes = "group", before: tuple[Step, ...] = ()) -> Plan:
    return Plan("test", "demo", "change", "try it", groups=groups, undoes=undoes, before=before)


@dataclass
class Fake:
    """Work that does what it is told: steps fail by (host, name), looks come from the plan."""

    plan: Plan
    failing: dict[tuple[str, str], Exception] = field(default_factory=dict)
    refuse: str = ""
    looks: list[Plan] = field(default_factory=list)
    acts: list[str] = field(default_factory=list)
    entered: list[str] = field(default_factory=list)
    barrier: threading.Barrier | None = None
    asks: bool = False
    declines: bool = False
    asked: list[tuple[str, list[str]]] = field(default_factory=list)

    def look(self) -> Plan:
        if self.looks:
            return self.looks.pop(0)
        left = tuple(g for g in self.plan.groups if g.title not in self.entered)
        before = () if self.entered else self.plan.before
        return replace(self.plan, before=before, groups=left)

    def gate(self, group: Group) -> None:
        self.acts.append(f"gate {group.title}")
        if group.title == self.refuse:
            raise Refused("no")

    def apply(self, step: Step) -> str:
        if self.barrier is not None:
            self.barrier.wait(timeout=60)
        self.acts.append(f"{step.host} {step.name}")
        error = self.failing.get((step.host, step.name))
        if error is not None:
            raise error
        return f"did {step.name}"

    def enter(self, group: Group, body: Callable[[], None]) -> None:
        self.entered.append(group.title)
        body()

    def approve(self, done: Group, left: tuple[Group, ...]) -> bool:
        if not self.asks:
            return False
        self.asked.append((done.title, [group.title for group in left]))
        if self.declines:
            raise NotApproved("not approved")
        return True


def begun(db: Database, plan: Plan) -> Journal:
    operation = NewOperation("demo", "test", plan.title, "me", "me", "terminal", "{}", "d", id="op")
    start_operation(db, operation, now=NOW)
    return Journal(db, "op")


def run(db: Database, work: Fake) -> None:
    carry_out(work.plan, work, begun(db, work.plan))


def rows(db: Database) -> list[tuple[str, str, str]]:
    return [(row.host, row.name, row.state) for row in steps_of(db, "op")]
