"""Which operation is found half done, from the journal: what settles it and what does not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from quoracy.db.models import Outcome
from quoracy.db.operations import (
    NewOperation,
    PlannedStep,
    end_operation,
    plan_steps,
    start_operation,
    step_ended,
    step_started,
)
from quoracy.db.session import Database, open_database
from quoracy.etcd.rollback import last_half_done
from quoracy.etcd.steps import StopMember, SwitchGeneration
from quoracy.operation.step import steps_as_json

Record = Callable[..., str]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path}/quoracy.db")
    yield database
    database.close()


@pytest.fixture
def record(db: Database) -> Record:
    numbers = count(1)

    def write(
        outcome: Outcome | None,
        *,
        kind: str = "etcd-deploy",
        done: tuple[str, ...] = (),
        begun: tuple[str, ...] = (),
        **plan: Any,
    ) -> str:
        number = next(numbers)
        at = datetime(2026, 11, 29, tzinfo=UTC) + timedelta(minutes=number)
        operation = NewOperation(
            "demo", kind, f"operation {number}", "me", "me", "terminal", json.dumps(plan), "d",
            fence=None if outcome == "nothing_to_do" else number, id=f"op-{number}",
        )  # fmt: skip
        start_operation(db, operation, now=at)
        steps = [
            (host, step)
            for host in (*done, *begun)
            for step in (StopMember(host), SwitchGeneration(host, "new", "old"))
        ]
        rows = [
            PlannedStep(place, host, host, step.name, step.title, "", steps_as_json(step.undo))
            for place, (host, step) in enumerate(steps, 1)
        ]
        plan_steps(db, operation.id, rows)
        for row in rows:
            step_started(db, operation.id, row.seq, now=at)
            if row.host in done:
                step_ended(db, operation.id, row.seq, state="done", now=at)
        if outcome:
            end_operation(db, operation.id, outcome, now=at)
        return operation.id

    return write


def hosts_left(db: Database) -> set[str]:
    half_done = last_half_done(db, "demo")
    return {step.host for step in half_done.to_put_back} if half_done else set()


@pytest.mark.parametrize(
    "since",
    [
        {"outcome": "done", "kind": "etcd-deploy"},  # a plan of kind start
        {"outcome": "nothing_to_do", "kind": "etcd-deploy"},
        {"outcome": "done", "kind": "etcd-other"},
        {"outcome": "nothing_to_do", "kind": "etcd-other"},
        {"outcome": "failed", "converges": True},
        {"outcome": "rolled_back", "converges": True},
        {"outcome": "stopped", "converges": True},
        {"outcome": "nothing_to_do", "kind": "operation-rollback"},
        {"outcome": "failed", "kind": "operation-rollback"},
    ],
    ids=str,
)
def test_what_came_later_and_did_not_finish_it_settles_nothing(
    db: Database, record: Record, since: dict[str, Any]
) -> None:
    record("failed", done=("demo-1",), begun=("demo-2",), converges=True)
    record(**since)
    assert hosts_left(db) == {"demo-2"}


@pytest.mark.parametrize("outcome", ["done", "nothing_to_do"])
def test_all_being_as_wanted_settles_it(db: Database, record: Record, outcome: Outcome) -> None:
    record("failed", begun=("demo-2",), converges=True)
    record(outcome, converges=True)
    assert last_half_done(db, "demo") is None


def test_each_rollback_puts_one_back_and_what_lies_before_is_found_again(
    db: Database, record: Record
) -> None:
    first = record("failed", begun=("demo-1",), converges=True)
    record("failed", begun=("demo-2",), converges=True)
    assert hosts_left(db) == {"demo-2"}
    record("done", kind="operation-rollback")
    half_done = last_half_done(db, "demo")
    assert half_done is not None
    assert half_done.operation_id == first
    record("done", kind="operation-rollback")
    assert last_half_done(db, "demo") is None


def test_a_member_that_a_later_operation_has_finished_is_left_alone(
    db: Database, record: Record
) -> None:
    record("failed", begun=("demo-1",), converges=True)
    record("rolled_back", done=("demo-1",), converges=True)
    assert last_half_done(db, "demo") is None
