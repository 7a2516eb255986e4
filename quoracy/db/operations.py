"""The journal: every operation, its plan and what became of each step. No row is ever deleted.

What hosts and callers have said is cleaned before it is kept, as no database takes all that a host may say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import uuid4

from sqlmodel import Session, col, select, update

from quoracy.db.models import Operation, Outcome, StepRecord
from quoracy.db.session import Database
from quoracy.errors import QuoracyError, Refused, UsageError
from quoracy.plain import plain

StepEnd = Literal["done", "failed", "undone", "undo_failed"]


def new_operation_id() -> str:
    """Return an ID for an operation that begins: the lease needs it before the journal does."""
    return uuid4().hex


@dataclass(frozen=True, slots=True)
class NewOperation:
    """What is known of an operation when it begins.

    Args:
        kind: The operation's name, such as `etcd-deploy`.
        title: What it does, one line.
        holder: The process that runs it (`Holder.id`).
        requested_by: Who asked for it.
        origin: From where: `terminal` or `prefect`, and the host's name.
        plan: JSON of the plan that was shown.
        fence: Number of the lease; None when none was taken, as in a dry run.
    """

    cluster: str
    kind: str
    title: str
    holder: str
    requested_by: str
    origin: str
    plan: str
    plan_digest: str
    flow_run_id: str | None = None
    fence: int | None = None
    id: str = field(default_factory=new_operation_id)


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step of a plan; `seq` is its place in the operation, `group` a member's name or ''.

    `undo` is JSON of the steps that put it back.
    """

    seq: int
    group: str
    host: str
    name: str
    title: str
    reason: str
    undo: str = "[]"


def start_operation(db: Database, operation: NewOperation, *, now: datetime) -> str:
    """Record that an operation runs, and return its ID."""
    with db.session() as session:
        session.add(
            Operation(
                id=operation.id,
                cluster=operation.cluster,
                kind=operation.kind,
                title=plain(operation.title),
                state="running",
                holder=operation.holder,
                requested_by=plain(operation.requested_by),
                origin=operation.origin,
                plan=operation.plan,
                plan_digest=operation.plan_digest,
                flow_run_id=operation.flow_run_id,
                fence=operation.fence,
                started_at=now,
                heartbeat_at=now,
            )
        )
    return operation.id


def plan_steps(db: Database, operation_id: str, steps: Sequence[PlannedStep]) -> None:
    """Record the steps that will be taken, before the first of them starts."""
    with db.session() as session:
        session.add_all(
            StepRecord(
                operation_id=operation_id,
                seq=step.seq,
                group=step.group,
                host=step.host,
                name=step.name,
                title=step.title,
                reason=step.reason,
                undo=step.undo,
                state="planned",
            )
            for step in steps
        )


def step_started(db: Database, operation_id: str, seq: int, *, now: datetime) -> None:
    """Record that a step is about to act.

    Raises:
        Refused: The operation has been ended, by itself or because its process was taken for dead.
    """
    with db.session() as session:
        operation = session.get(Operation, operation_id, with_for_update=True)
        if operation is None or operation.state != "running":
            raise Refused(
                "the operation has ended, so no step of it may start",
                where=f"operation {operation_id}",
                next_step="start the operation again; it takes up what is left to do",
            )
        step = _step(session, operation_id, seq)
        step.state, step.started_at, step.ended_at, step.detail = "started", now, None, ""


def step_ended(
    db: Database, operation_id: str, seq: int, *, state: StepEnd, now: datetime, detail: str = ""
) -> None:
    """Record what became of a step, or of its undo; also when the operation was ended meanwhile."""
    with db.session() as session:
        step = _step(session, operation_id, seq)
        step.state, step.ended_at, step.detail = state, now, plain(detail)


def drop_undo(db: Database, operation_id: str, group: str | None) -> None:
    """Record that there is no way back any more for the steps of a group; None: of the operation."""
    steps = update(StepRecord).where(col(StepRecord.operation_id) == operation_id)
    if group is not None:
        steps = steps.where(col(StepRecord.group) == group)
    with db.session() as session:
        session.exec(steps.values(undo="[]"))


def end_operation(
    db: Database, operation_id: str, outcome: Outcome, *, now: datetime, error: str | None = None
) -> bool:
    """Record the end of an operation; False when it had ended before, then the first end stays."""
    ended = (
        update(Operation)
        .where(col(Operation.id) == operation_id, col(Operation.state) == "running")
        .values(state="ended", outcome=outcome, error=error, ended_at=now)
    )
    with db.session() as session:
        return session.exec(ended).rowcount == 1


def get_operation(db: Database, operation_id: str) -> Operation:
    """Return an operation by its ID or by the beginning of it.

    Raises:
        UsageError: None or several operations begin like this.
    """
    wanted = select(Operation).where(col(Operation.id).startswith(operation_id, autoescape=True))
    with db.session() as session:
        found = session.exec(wanted.limit(2)).all()
    if len(found) != 1:
        problem = "several operations begin with" if found else "there is no operation"
        raise UsageError(f"{problem} {operation_id!r}", next_step="look at `quoracy history`")
    return found[0]


def history(db: Database, cluster: str | None = None, limit: int = 50) -> list[Operation]:
    """Return the latest operations of a cluster, or of all, newest first."""
    wanted = select(Operation).order_by(col(Operation.started_at).desc(), col(Operation.id))
    if cluster is not None:
        wanted = wanted.where(Operation.cluster == cluster)
    with db.session() as session:
        return list(session.exec(wanted.limit(limit)).all())


def changing_operations(db: Database, cluster: str) -> list[Operation]:
    """Return the operations that held the cluster's lease, or found nothing to do, newest first."""
    told = (col(Operation.fence).is_not(None)) | (col(Operation.outcome) == "nothing_to_do")
    wanted = select(Operation).where(Operation.cluster == cluster, told)
    with db.session() as session:
        ordered = wanted.order_by(col(Operation.started_at).desc(), col(Operation.id))
        return list(session.exec(ordered).all())


def latest_operation(db: Database, cluster: str, since: datetime) -> Operation | None:
    """Return the newest operation of a cluster that started at a time or after it."""
    wanted = (
        select(Operation)
        .where(Operation.cluster == cluster, Operation.started_at >= since)
        .order_by(col(Operation.started_at).desc(), col(Operation.id))
    )
    with db.session() as session:
        return session.exec(wanted.limit(1)).first()


def unfinished(db: Database, cluster: str | None = None) -> list[Operation]:
    """Return the operations that have not ended, newest first; whether they live, the lease says."""
    wanted = select(Operation).where(Operation.state == "running")
    if cluster is not None:
        wanted = wanted.where(Operation.cluster == cluster)
    with db.session() as session:
        return list(session.exec(wanted.order_by(col(Operation.started_at).desc())).all())


def steps_of(db: Database, operation_id: str) -> list[StepRecord]:
    """Return the steps of an operation in the order of its plan."""
    wanted = select(StepRecord).where(StepRecord.operation_id == operation_id)
    with db.session() as session:
        return list(session.exec(wanted.order_by(col(StepRecord.seq))).all())


def _step(session: Session, operation_id: str, seq: int) -> StepRecord:
    wanted = select(StepRecord).where(
        StepRecord.operation_id == operation_id, StepRecord.seq == seq
    )
    step = session.exec(wanted).one_or_none()
    if step is None:
        raise QuoracyError(
            f"the journal has no step {seq}",
            where=f"operation {operation_id}",
            next_step="report this: steps are recorded before they start",
        )
    return step
