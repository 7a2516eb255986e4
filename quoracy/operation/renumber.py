"""Give one host a number that operations from here can follow, when its own is beyond reason or unreadable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from quoracy.db.holder import this_process
from quoracy.db.lease import get_lease, held, highest_fence, is_live
from quoracy.db.operations import (
    NewOperation,
    PlannedStep,
    end_operation,
    plan_steps,
    start_operation,
    step_ended,
    step_started,
)
from quoracy.db.session import Database
from quoracy.errors import QuoracyError
from quoracy.hosts.pool import HostPool
from quoracy.operation.guard import Guard, renumbered
from quoracy.operation.lease import Asked
from quoracy.operation.site import require_success
from quoracy.specs.document import printed

KIND = "lease-renumber"


@dataclass(frozen=True, slots=True)
class Renumbered:
    """What was done on the host.

    Attributes:
        number: What the host has noted now.
        noted: What it had noted before; "" when that was left as it is.
    """

    number: int
    noted: str

    def __str__(self) -> str:
        """One line for people."""
        if not self.noted:
            return "nothing is to be done: its number can be followed from here"
        return f"its number is {self.number} now; {self.noted}"


def renumber_host(
    db: Database, pool: HostPool, subject: str, host: str, asked: Asked
) -> Renumbered:
    """Write the database's number on one host, where its own is far above it or cannot be read.

    It is recorded in the history, as a run that held no lease: nobody who holds one acts on a host whose
    number keeps him off, and a live one is not interfered with.

    Raises:
        LeaseHeld: An operation works on it, here or by another controller within the last minute.
    """
    lease = get_lease(db, subject)
    if lease is not None and is_live(lease, this_process(), db.now()):
        raise held(lease)
    number = highest_fence(db, subject)
    return _recorded(db, subject, host, asked, lambda: _on_host(pool, subject, host, number))


def _on_host(pool: HostPool, subject: str, host: str, number: int) -> Renumbered:
    guard = Guard(subject, this_process().id, number)
    what = "write its number anew"
    result = pool[host].run(renumbered(guard), what=what, check=False)
    require_success(guard, host, result, what=what)
    return Renumbered(number, printed(result.stdout.decode("utf-8", "replace").strip()))


def _recorded(
    db: Database, subject: str, host: str, asked: Asked, act: Callable[[], Renumbered]
) -> Renumbered:
    """What is done by hand stands in the history like all else."""
    title = f"write the number that {host} has noted anew"
    operation = NewOperation(
        cluster=subject,
        kind=KIND,
        title=title,
        holder=this_process().id,
        requested_by=asked.by,
        origin=asked.origin,
        plan="{}",
        plan_digest="",
    )
    start_operation(db, operation, now=db.now())
    plan_steps(db, operation.id, [PlannedStep(1, "", host, "renumber", title, "")])
    step_started(db, operation.id, 1, now=db.now())
    try:
        done = act()
    except QuoracyError as error:
        step_ended(db, operation.id, 1, state="failed", now=db.now(), detail=error.what)
        end_operation(db, operation.id, "failed", now=db.now(), error=str(error))
        raise
    step_ended(db, operation.id, 1, state="done", now=db.now(), detail=str(done))
    end_operation(db, operation.id, "done", now=db.now())
    return done
