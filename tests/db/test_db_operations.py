from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from quoracy.db.operations import (
    NewOperation,
    PlannedStep,
    StepEnd,
    end_operation,
    get_operation,
    history,
    latest_operation,
    plan_steps,
    start_operation,
    step_ended,
    step_started,
    steps_of,
    unfinished,
)
from quoracy.db.session import Database
from quoracy.errors import QuoracyError, Refused, UsageError

STEPS = [
    PlannedStep(
        seq=number,
        group=member,
        host=member,
        name=name,
        title=f"{name} on {member}",
        reason="3.4.23 -> 3.5.30",
    )
    for number, (member, name) in enumerate(
        [("demo-1", "stop_member"), ("demo-1", "start_member"), ("demo-2", "stop_member")], 1
    )
]


def operation(**changes: Any) -> NewOperation:
    given = {
        "cluster": "demo",
        "kind": "etcd-upgrade",
        "title": "Upgrade etcd from 3.4.23 to 3.5.30",
        "holder": "ann@ops1:7:x",
        "requested_by": "ann",
        "origin": "terminal ops1",
        "plan": '{"steps": []}',
        "plan_digest": "d1",
        **changes,
    }
    return NewOperation(**given)


@pytest.fixture
def at(now: datetime) -> Callable[[float], datetime]:
    return lambda seconds: now + timedelta(seconds=seconds)


def states(db: Database, operation_id: str) -> list[str]:
    return [step.state for step in steps_of(db, operation_id)]


def test_an_operation_begins_as_running(db: Database, now: datetime) -> None:
    operation_id = start_operation(db, operation(fence=7, flow_run_id="f1"), now=now)
    found = get_operation(db, operation_id)
    assert (found.cluster, found.kind, found.plan_digest) == ("demo", "etcd-upgrade", "d1")
    assert (found.state, found.outcome, found.fence, found.flow_run_id) == (
        "running",
        None,
        7,
        "f1",
    )
    assert (found.started_at, found.heartbeat_at, found.ended_at) == (now, now, None)
    assert (found.requested_by, found.origin) == ("ann", "terminal ops1")


def test_the_id_can_be_chosen_before(db: Database, now: datetime) -> None:
    new = operation()
    assert len(new.id) == 32
    assert start_operation(db, new, now=now) == new.id
    assert operation().id != new.id


def test_steps_are_planned_started_and_done(db: Database, at: Callable[[float], datetime]) -> None:
    operation_id = start_operation(db, operation(), now=at(0))
    plan_steps(db, operation_id, STEPS[::-1])
    assert states(db, operation_id) == ["planned"] * 3
    step_started(db, operation_id, 1, now=at(1))
    assert states(db, operation_id) == ["started", "planned", "planned"]
    step_ended(db, operation_id, 1, state="done", now=at(2), detail="in 0.9 s")
    first = steps_of(db, operation_id)[0]
    assert (first.group, first.host, first.name) == ("demo-1", "demo-1", "stop_member")
    assert (first.title, first.reason) == ("stop_member on demo-1", "3.4.23 -> 3.5.30")
    assert (first.state, first.detail, first.started_at, first.ended_at) == (
        "done",
        "in 0.9 s",
        at(1),
        at(2),
    )


def test_a_failed_step_is_undone(db: Database, at: Callable[[float], datetime]) -> None:
    operation_id = start_operation(db, operation(), now=at(0))
    plan_steps(db, operation_id, STEPS)
    ends: tuple[StepEnd, ...] = ("done", "failed")
    for seq, state in enumerate(ends, 1):
        step_started(db, operation_id, seq, now=at(seq))
        step_ended(db, operation_id, seq, state=state, now=at(seq))
    step_ended(db, operation_id, 2, state="undo_failed", now=at(3), detail="no space left")
    step_ended(db, operation_id, 1, state="undone", now=at(4))
    assert states(db, operation_id) == ["undone", "undo_failed", "planned"]


def test_a_step_may_be_taken_again(db: Database, at: Callable[[float], datetime]) -> None:
    operation_id = start_operation(db, operation(), now=at(0))
    plan_steps(db, operation_id, STEPS)
    step_started(db, operation_id, 1, now=at(1))
    step_ended(db, operation_id, 1, state="failed", now=at(2), detail="unhealthy cluster")
    step_started(db, operation_id, 1, now=at(3))
    first = steps_of(db, operation_id)[0]
    assert (first.state, first.detail, first.started_at, first.ended_at) == (
        "started",
        "",
        at(3),
        None,
    )


def test_steps_can_be_added_and_their_numbers_are_unique(db: Database, now: datetime) -> None:
    operation_id = start_operation(db, operation(), now=now)
    plan_steps(db, operation_id, STEPS[:2])
    plan_steps(db, operation_id, STEPS[2:])
    assert [step.seq for step in steps_of(db, operation_id)] == [1, 2, 3]
    with pytest.raises(QuoracyError, match=r"(?i)unique"):
        plan_steps(db, operation_id, STEPS[:1])


def test_steps_of_operations_do_not_mix(db: Database, now: datetime) -> None:
    first = start_operation(db, operation(), now=now)
    second = start_operation(db, operation(), now=now)
    plan_steps(db, first, STEPS)
    plan_steps(db, second, STEPS)
    step_started(db, second, 2, now=now)
    assert states(db, first) == ["planned"] * 3
    assert states(db, second) == ["planned", "started", "planned"]


def test_a_step_that_was_not_planned_is_an_error(db: Database, now: datetime) -> None:
    operation_id = start_operation(db, operation(), now=now)
    with pytest.raises(QuoracyError, match="no step 1"):
        step_started(db, operation_id, 1, now=now)
    with pytest.raises(QuoracyError, match="no step 1"):
        step_ended(db, operation_id, 1, state="done", now=now)


def test_after_the_end_no_step_starts_but_an_undo_goes_on(db: Database, now: datetime) -> None:
    operation_id = start_operation(db, operation(), now=now)
    plan_steps(db, operation_id, STEPS)
    step_started(db, operation_id, 1, now=now)
    end_operation(db, operation_id, "failed", now=now, error="its process was taken for dead")
    with pytest.raises(Refused, match="has ended"):
        step_started(db, operation_id, 2, now=now)
    step_ended(db, operation_id, 1, state="undone", now=now)
    assert states(db, operation_id) == ["undone", "planned", "planned"]
    with pytest.raises(Refused, match="has ended"):
        step_started(db, "unknown", 1, now=now)


def test_the_first_end_stays(db: Database, at: Callable[[float], datetime]) -> None:
    operation_id = start_operation(db, operation(), now=at(0))
    assert end_operation(db, operation_id, "rolled_back", now=at(1), error="unhealthy")
    assert not end_operation(db, operation_id, "done", now=at(2))
    found = get_operation(db, operation_id)
    assert (found.state, found.outcome, found.error, found.ended_at) == (
        "ended",
        "rolled_back",
        "unhealthy",
        at(1),
    )
    assert unfinished(db, "demo") == []


def test_an_operation_is_found_by_the_beginning_of_its_id(db: Database, now: datetime) -> None:
    for operation_id in ("aab1", "aab2", "bb%_"):
        start_operation(db, operation(id=operation_id), now=now)
    assert get_operation(db, "aab2").id == "aab2"
    assert get_operation(db, "bb").id == "bb%_"
    with pytest.raises(UsageError, match="several operations begin with 'aab'"):
        get_operation(db, "aab")
    with pytest.raises(UsageError, match="no operation '%'"):
        get_operation(db, "%")


def test_history_is_newest_first_and_outlives_clusters(
    db: Database, at: Callable[[float], datetime]
) -> None:
    for number, cluster in enumerate(["demo", "stage", "demo", "demo"]):
        start_operation(db, operation(id=f"{number}", cluster=cluster), now=at(number))
    assert [found.id for found in history(db)] == ["3", "2", "1", "0"]
    assert [found.id for found in history(db, "demo")] == ["3", "2", "0"]
    assert [found.id for found in history(db, "demo", limit=2)] == ["3", "2"]
    assert history(db, "other") == []


def test_the_latest_operation_since_a_time(db: Database, at: Callable[[float], datetime]) -> None:
    for number in range(3):
        start_operation(db, operation(id=f"{number}"), now=at(number))
    start_operation(db, operation(id="other", cluster="stage"), now=at(9))
    found = latest_operation(db, "demo", at(2))
    assert found is not None
    assert found.id == "2"
    assert latest_operation(db, "demo", at(2.5)) is None


def test_unfinished_operations(db: Database, at: Callable[[float], datetime]) -> None:
    for number, cluster in enumerate(["demo", "stage", "demo"]):
        start_operation(db, operation(id=f"{number}", cluster=cluster), now=at(number))
    end_operation(db, "0", "nothing_to_do", now=at(5))
    assert [found.id for found in unfinished(db, "demo")] == ["2"]
    assert [found.id for found in unfinished(db)] == ["2", "1"]
