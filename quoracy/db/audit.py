"""Operations as whole records for people and log pipelines: plan, steps, snapshots, how it ended."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import and_, col, or_, select

from quoracy.db.holder import this_process
from quoracy.db.lease import EXPIRES_AFTER, is_live, list_leases
from quoracy.db.models import Operation, Snapshot, StepRecord
from quoracy.db.operations import get_operation, history
from quoracy.db.session import Database

# What a record holds and how it is called; a change that breaks readers gets the next number.
FORMAT = 1
_BATCH = 100
_OPERATION = {
    "id",
    "cluster",
    "kind",
    "title",
    "state",
    "outcome",
    "error",
    "requested_by",
    "origin",
    "flow_run_id",
    "holder",
    "fence",
    "started_at",
    "heartbeat_at",
    "ended_at",
    "plan_digest",
}
_STEP = {"seq", "group", "host", "name", "title", "reason", "state", "detail"}
_STEP_TIMES = {"started_at", "ended_at"}
_SNAPSHOT = {
    "id",
    "cluster_id",
    "member",
    "revision",
    "location",
    "size_bytes",
    "sha256",
    "etcd_version",
    "taken_at",
}


@dataclass(frozen=True, slots=True)
class Record:
    """One operation with all that is known of it.

    Attributes:
        operation: Who, what, when, and how it ended.
        steps: In the order of the plan, then what put back.
        snapshots: The backups that it took.
        interrupted: It has not ended and never will: its process is gone.
    """

    operation: Operation
    steps: tuple[StepRecord, ...]
    snapshots: tuple[Snapshot, ...]
    interrupted: bool

    @property
    def plan(self) -> dict[str, Any]:
        """The plan as it was shown (`Plan.as_dict`)."""
        plan: dict[str, Any] = json.loads(self.operation.plan)
        return plan

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the keys are those of docs/operations/history.md."""
        return {
            "format": FORMAT,
            **self.operation.model_dump(mode="json", include=_OPERATION),
            "interrupted": self.interrupted,
            "plan": self.plan,
            "steps": [
                step.model_dump(mode="json", include=_STEP | _STEP_TIMES) for step in self.steps
            ],
            "snapshots": [one.model_dump(mode="json", include=_SNAPSHOT) for one in self.snapshots],
        }


def record_of(db: Database, operation_id: str) -> Record:
    """Return an operation by its ID or by the beginning of it; UsageError when there is not one."""
    alive = _alive(db)
    (record,) = _complete(db, [get_operation(db, operation_id)], *alive)
    return record


def latest_records(db: Database, cluster: str | None, limit: int) -> list[Record]:
    """Return the latest operations of a cluster, or of all, newest first."""
    alive = _alive(db)
    return _complete(db, history(db, cluster, limit), *alive)


def all_records(db: Database, cluster: str | None) -> Iterator[Record]:
    """Yield every operation of a cluster, or of all, oldest first.

    Read in batches: a long history fits into memory, and no transaction lasts while the reader of
    the records is busy.
    """
    after: Operation | None = None
    while True:
        alive = _alive(db)
        batch = _batch(db, cluster, after)
        if not batch:
            return
        after = batch[-1]
        yield from _complete(db, batch, *alive)


def _batch(db: Database, cluster: str | None, after: Operation | None) -> list[Operation]:
    started, identity = col(Operation.started_at), col(Operation.id)
    wanted = select(Operation).order_by(started, identity).limit(_BATCH)
    if cluster is not None:
        wanted = wanted.where(Operation.cluster == cluster)
    if after is not None:
        same_time = and_(started == after.started_at, identity > after.id)
        wanted = wanted.where(or_(started > after.started_at, same_time))
    with db.session() as session:
        return list(session.exec(wanted).all())


def _complete(
    db: Database, operations: Sequence[Operation], alive: set[str], seen_at: datetime
) -> list[Record]:
    ids = [one.id for one in operations]
    steps: dict[str, list[StepRecord]] = {one: [] for one in ids}
    snapshots: dict[str | None, list[Snapshot]] = {one: [] for one in ids}
    own_steps = select(StepRecord).where(col(StepRecord.operation_id).in_(ids))
    own_snapshots = select(Snapshot).where(col(Snapshot.operation_id).in_(ids))
    with db.session() as session:
        for step in session.exec(own_steps.order_by(col(StepRecord.seq))):
            steps[step.operation_id].append(step)
        for snapshot in session.exec(own_snapshots.order_by(col(Snapshot.taken_at))):
            snapshots[snapshot.operation_id].append(snapshot)
    return [
        Record(
            one,
            tuple(steps[one.id]),
            tuple(snapshots[one.id]),
            one.id not in alive and _is_over(one, seen_at),
        )
        for one in operations
    ]


def _alive(db: Database) -> tuple[set[str], datetime]:
    """The operations that hold a live lease, and when they were looked at.

    Asked for before the operations are read: an operation ends before it gives its lease back.
    """
    here, now = this_process(), db.now()
    return {one.operation_id for one in list_leases(db) if is_live(one, here, now)}, now


def _is_over(operation: Operation, seen_at: datetime) -> bool:
    """Tell whether an operation without a live lease that has not ended can no longer run."""
    # One that began after the leases were read has a lease that was not seen; a dry run takes none,
    # and is written down in two moments.
    latest = seen_at if operation.fence is not None else seen_at - EXPIRES_AFTER
    return operation.state == "running" and operation.started_at < latest
