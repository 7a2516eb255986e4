"""One operation from its plan to its outcome: lease, journal, loop, report. Knows no etcd, no Prefect."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from quoracy.db.heartbeat import Heartbeat
from quoracy.db.holder import this_process
from quoracy.db.lease import is_taken_over, release_lease, take_lease
from quoracy.db.models import Outcome
from quoracy.db.operations import (
    NewOperation,
    changing_operations,
    end_operation,
    new_operation_id,
    start_operation,
    unfinished,
)
from quoracy.db.session import Database
from quoracy.errors import LeaseHeld, QuoracyError, Refused, RollbackFailed, RolledBack, Stopped
from quoracy.operation.journal import Journal
from quoracy.operation.loop import Work, carry_out
from quoracy.operation.plan import Plan

ENDINGS: Mapping[str, str] = {
    "done": "Done",
    "nothing_to_do": "Nothing to do",
    "dry_run": "Changes pending",
}
"""What people read when an operation has ended without an error, by its outcome."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asked for the operation, and from where.

    Attributes:
        by: The user at the terminal, or whom the Prefect server has noted.
        origin: "terminal" or "prefect", and the machine.
        flow_run_id: The Prefect run that carries it, if any.
    """

    by: str
    origin: str
    flow_run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What became of an operation.

    Attributes:
        notes: What went wrong beside it, such as a beat that could not be written.
    """

    operation_id: str
    outcome: Outcome
    plan: Plan
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Leased:
    """An operation that may act: its ID, the lease's holder and number, and who held it before."""

    operation_id: str
    holder: str
    fence: int
    successor_of: str
    beats: Heartbeat


def record_without_acting(db: Database, plan: Plan, asked: Asked, outcome: Outcome) -> Report:
    """Record a plan that is not applied: a dry run, a refusal, or nothing to do."""
    operation = _new(plan, asked, this_process().id)
    start_operation(db, operation, now=db.now())
    said = "; ".join(verdict.message for verdict in plan.verdicts if verdict.stops)
    end_operation(db, operation.id, outcome, now=db.now(), error=said or None)
    return Report(operation.id, outcome, plan)


Claim = Callable[[Leased], None]
"""Tells all hosts who acts on the cluster; raises when one of them refuses or cannot be told."""


@contextmanager
def leased(db: Database, plan: Plan, asked: Asked, *, claim: Claim) -> Iterator[Leased]:
    """Hold the cluster's lease and keep the operation's row while the block runs.

    Args:
        claim: Called before the block, and again at each beat: a host forgets a holder of whom it
            has heard nothing for a minute.

    Raises:
        LeaseHeld: Another operation works on the cluster.
    """
    here = this_process()
    operation_id = new_operation_id()
    before = _earlier_holders(db, plan.cluster)
    fence = take_lease(
        db,
        cluster=plan.cluster,
        operation_id=operation_id,
        holder=here,
        reason=plan.title,
        now=db.now(),
    )
    try:
        _end_interrupted(db, plan.cluster, operation_id)
        operation: Leased
        beats = Heartbeat(db, plan.cluster, here, fence, also=lambda: claim(operation))
        operation = Leased(operation_id, here.id, fence, " ".join(before), beats)
        with beats:
            start_operation(
                db, replace(_new(plan, asked, here.id), id=operation_id, fence=fence), now=db.now()
            )
            with _outcome(db, operation_id):
                claim(operation)
                yield operation
    except BaseException as error:
        with _noted(error):
            release_lease(db, plan.cluster, here, fence)
        raise
    release_lease(db, plan.cluster, here, fence)


def _earlier_holders(db: Database, cluster: str) -> tuple[str, ...]:
    """Who has held the lease before: whoever takes it next knows that none of them acts any more."""
    acted = (one.holder for one in changing_operations(db, cluster) if one.fence is not None)
    return tuple(dict.fromkeys(acted))


def _end_interrupted(db: Database, cluster: str, successor: str) -> None:
    """Settle operations whose process ended before they did: the lease shows that none is alive."""
    for operation in unfinished(db, cluster):
        if operation.fence is None:
            continue  # another process writes down what it has not applied
        said = f"its process ended before it did; operation {successor[:8]} went on from the hosts"
        end_operation(db, operation.id, "failed", now=db.now(), error=said)


def apply_plan(db: Database, plan: Plan, work: Work, operation: Leased) -> Report:
    """Carry out the plan, with every step in the journal."""
    journal = Journal(db, operation.operation_id)
    taken = False
    try:
        carry_out(plan, work, journal)
    except QuoracyError as error:
        # Asked anew: who was stopped for two minutes has not noticed it by a beat yet.
        with _noted(error):
            taken = is_taken_over(db, plan.cluster, operation.fence)
        if taken and not isinstance(error, LeaseHeld):
            raise _taken_over(plan, error) from error
        for note in dict.fromkeys((*journal.unwritten, *operation.beats.trouble)):
            error.add_note(note)
        raise
    notes = tuple(dict.fromkeys((*journal.unwritten, *operation.beats.trouble)))
    return Report(operation.operation_id, "done", plan, notes)


def _taken_over(plan: Plan, error: QuoracyError) -> LeaseHeld:
    """Whatever went wrong, it is not this operation's to put right any more."""
    return LeaseHeld(
        f"another operation has taken over; this one ended with: {error.what}",
        where=plan.cluster,
        next_step=f"see `quoracy history {plan.cluster}`; the other one goes on from the hosts",
    )


@contextmanager
def _outcome(db: Database, operation_id: str) -> Iterator[None]:
    """Write how the block ended into the operation's row."""
    try:
        yield
    except BaseException as error:
        # What became of the hosts counts more than that it could not be written down.
        with _noted(error):
            said = str(error) or type(error).__name__
            end_operation(db, operation_id, outcome_of(error), now=db.now(), error=said)
        raise
    end_operation(db, operation_id, "done", now=db.now())


@contextmanager
def _noted(error: BaseException) -> Iterator[None]:
    """Keep an error of the database as a note to the error that is being raised already."""
    try:
        yield
    except QuoracyError as failure:
        error.add_note(f"and it could not be recorded: {failure}")


def outcome_of(error: BaseException) -> Outcome:
    """The outcome that an error stands for."""
    if isinstance(error, RolledBack):
        return "rolled_back"
    if isinstance(error, RollbackFailed):
        return "rollback_failed"
    if isinstance(error, Stopped):
        return "stopped"
    if isinstance(error, Refused) and not isinstance(error, LeaseHeld):
        return "refused"
    return "failed"


def _new(plan: Plan, asked: Asked, holder: str) -> NewOperation:
    return NewOperation(
        cluster=plan.cluster,
        kind=plan.operation,
        title=plan.title,
        holder=holder,
        requested_by=asked.by,
        origin=asked.origin,
        plan=json.dumps(plan.as_dict()),
        plan_digest=plan.digest,
        flow_run_id=asked.flow_run_id,
    )
