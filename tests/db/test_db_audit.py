from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from quoracy.db.audit import all_records, latest_records, record_of
from quoracy.db.holder import Holder
from quoracy.db.lease import EXPIRES_AFTER, take_lease
from quoracy.db.operations import (
    NewOperation,
    PlannedStep,
    end_operation,
    get_operation,
    plan_steps,
    start_operation,
    step_ended,
    steps_of,
)
from quoracy.db.session import Database
from quoracy.errors import UsageError
from quoracy.redact import MASK, remembering

ELSEWHERE = Holder(id="ann@other:7:x", machine="other", boot_id="b2", pid=7, process_started=9)


def begun(
    db: Database, now: datetime, name: str, cluster: str = "demo", fence: int | None = 1
) -> str:
    operation = NewOperation(
        id=name,
        cluster=cluster,
        kind="etcd-deploy",
        title="t",
        holder="h",
        requested_by="ann",
        origin="terminal",
        plan='{"title": "t"}',
        plan_digest="0",
        fence=fence,
    )
    return start_operation(db, operation, now=now)


def test_records_come_oldest_first_whole_and_each_once(db: Database, now: datetime) -> None:
    for number in range(205):  # more than two batches, and many that began at the same time
        begun(db, now + timedelta(seconds=number // 50), f"{number * 7 % 205:03}")
    begun(db, now, "other", cluster="other")
    plan_steps(
        db, "003", [PlannedStep(2, "", "b", "n", "t", ""), PlannedStep(1, "", "a", "n", "t", "")]
    )
    records = list(all_records(db, "demo"))
    assert len({record.operation.id for record in records}) == len(records) == 205
    order = [(record.operation.started_at, record.operation.id) for record in records]
    assert order == sorted(order)
    (stepped,) = (record for record in records if record.steps)
    assert (stepped.operation.id, [step.host for step in stepped.steps]) == ("003", ["a", "b"])
    assert len(list(all_records(db, None))) == 206
    assert [record.operation.id for record in latest_records(db, "other", 5)] == ["other"]


def test_what_begins_while_records_are_read_comes_last(db: Database, now: datetime) -> None:
    for number in range(100):
        begun(db, now, f"{number:03}")
    records = all_records(db, None)
    assert next(records).operation.id == "000"
    begun(db, now + timedelta(seconds=1), "late")
    assert [record.operation.id for record in records][-1] == "late"


def test_a_record_is_json_and_has_the_plan_as_an_object(db: Database, now: datetime) -> None:
    record = record_of(db, begun(db, now, "one"))
    told = json.loads(json.dumps(record.as_dict()))
    assert (told["format"], told["plan"], told["steps"]) == (1, {"title": "t"}, [])
    assert told["started_at"] == "2026-11-20T03:00:00Z"


def test_an_operation_that_is_none(db: Database) -> None:
    with pytest.raises(UsageError):
        record_of(db, "none")


@pytest.mark.parametrize(
    ("fence", "age", "lease", "interrupted"),
    [
        (1, timedelta(seconds=1), timedelta(0), False),
        (1, timedelta(seconds=1), 2 * EXPIRES_AFTER, True),
        (1, timedelta(seconds=1), None, True),
        (1, timedelta(seconds=-1), None, False),  # it began after the leases were read
        (None, timedelta(seconds=1), None, False),  # a dry run takes no lease
        (None, 2 * EXPIRES_AFTER, None, True),
    ],
)
def test_what_has_not_ended_and_holds_no_live_lease_was_interrupted(
    db: Database,
    fence: int | None,
    age: timedelta,
    lease: timedelta | None,
    interrupted: bool,
) -> None:
    now = db.now()
    begun(db, now - age, "one", fence=fence)
    if lease is not None:
        at = now - lease
        take_lease(db, cluster="demo", operation_id="one", holder=ELSEWHERE, reason="r", now=at)
    assert record_of(db, "one").interrupted == interrupted
    assert end_operation(db, "one", "done", now=now)
    assert not record_of(db, "one").interrupted


def test_what_hosts_have_said_is_kept_without_secrets(db: Database, now: datetime) -> None:
    key = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIA\n-----END EC PRIVATE KEY-----"
    remembering(lambda _: "correct-horse-battery")("x")
    begun(db, now, "one")
    plan_steps(db, "one", [PlannedStep(1, "", "a", "n", "t", "")])
    said = f"it printed {key} and correct-horse-battery"
    step_ended(db, "one", 1, state="failed", now=now, detail=said)
    end_operation(db, "one", "failed", now=now, error=said)
    kept = f"it printed {MASK} and {MASK}"
    assert (steps_of(db, "one")[0].detail, get_operation(db, "one").error) == (kept, kept)
