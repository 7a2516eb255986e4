"""Settle what dead processes have left in the database: operations that seem to run, and their leases.

It reads and writes the database only: no host is asked or touched, and no live operation disturbed.
What is half done on the hosts is for the next operation, which looks there (law 4).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import col, select

from quoracy.db.holder import Holder, this_process
from quoracy.db.lease import EXPIRES_AFTER, break_lease, lease_state, list_leases
from quoracy.db.models import Lease, Operation
from quoracy.db.operations import end_operation, steps_of, unfinished
from quoracy.db.session import Database

BY = "reconcile"
ROLLBACK = "operation-rollback"
# Nobody waits for the lease (whoever does takes it over), so there is time to be sure.
SILENT_ELSEWHERE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Renumbered:
    """What a dead process has left, as it stands in the database now.

    Attributes:
        title: The operation, as its plan called it.
        said: What its process had begun, and what to do next.
        flow_run_id: The Prefect run that carried it, if any.
        lease_freed: Whether it still held the cluster's lease; the fencing number stays.
    """

    cluster: str
    operation_id: str
    title: str
    said: str
    flow_run_id: str | None
    lease_freed: bool


def reconcile(db: Database) -> tuple[Renumbered, ...]:
    """End the operations of dead processes as failed and free their leases; live ones are left alone."""
    # Operations first: by the time the leases are read, each of them holds one or has ended.
    running = {one.id: one for one in unfinished(db)}
    leases = list_leases(db)
    return (*_freed(db, leases, running), *_ended(db, running.values(), leases))


def operation_of_run(db: Database, flow_run_id: str) -> Operation | None:
    """Return the newest operation that a Prefect run has carried: a retried run has several."""
    wanted = select(Operation).where(Operation.flow_run_id == flow_run_id)
    with db.session() as session:
        return session.exec(wanted.order_by(col(Operation.started_at).desc()).limit(1)).first()


def _freed(
    db: Database, leases: Iterable[Lease], running: Mapping[str, Operation]
) -> Iterator[Renumbered]:
    """Leases of dead processes, each freed together with the end of its operation."""
    here = this_process()
    for lease in leases:
        if not _is_dead(lease, here, db.now()):
            continue
        # Its process may have died before it recorded the operation, or after it had ended it.
        one = running.get(lease.operation_id)
        said = _left_behind(db, one) if one else "no operation was under way any more"
        if break_lease(db, lease, by=BY, here=here, now=db.now(), also=said):
            run = one.flow_run_id if one else None
            yield Renumbered(lease.cluster, lease.operation_id, lease.reason, said, run, True)


def _is_dead(lease: Lease, here: Holder, now: datetime) -> bool:
    """Whether its process has surely ended; one that is only stopped or asleep beats again."""
    state = lease_state(lease, here, now)
    if state == "expired":
        elsewhere = (lease.boot_id, lease.machine) != (here.boot_id, here.machine)
        return elsewhere and lease.heartbeat_at < now - SILENT_ELSEWHERE
    return state == "process gone"


def _ended(
    db: Database, running: Iterable[Operation], leases: Iterable[Lease]
) -> Iterator[Renumbered]:
    """Operations without a lease: they cannot have gone on."""
    holding = {lease.operation_id for lease in leases if lease.holder is not None}
    for one in running:
        # What needs no lease (a dry run, a refusal) is over a moment after it was recorded.
        brief = one.fence is None and one.started_at > db.now() - EXPIRES_AFTER
        if one.id in holding or brief:
            continue
        said = _left_behind(db, one)
        error = f"its process ended before it did; {said}"
        if end_operation(db, one.id, "failed", now=db.now(), error=error):
            yield Renumbered(one.cluster, one.id, one.title, said, one.flow_run_id, False)


def _left_behind(db: Database, one: Operation) -> str:
    """What the journal knows of its steps, and which command goes on."""
    steps = steps_of(db, one.id)
    begun = [f"{s.host or 'controller'}: {s.title}" for s in steps if s.state == "started"]
    advice = f"run `{_command(one)}`, which goes on from what the hosts say"
    if begun:
        # One that was putting back goes on by itself; any other on a cluster may be put back as well.
        if one.kind != ROLLBACK and not _service(one):
            advice += f", or `quoracy {ROLLBACK} {one.cluster}`, which puts it back"
        return f"begun and perhaps half done: {', '.join(begun)}; {advice}"
    done = sum(1 for step in steps if step.state == "done")
    return f"no step was under way, {done} of {len(steps)} were done; {advice}"


def _command(one: Operation) -> str:
    service = _service(one)
    if service:
        return f"quoracy service {one.kind.removeprefix('service-')} {service}"
    return f"quoracy {one.kind} {one.cluster}"


def _service(one: Operation) -> str:
    """Name of the service that it is about; "" when that is a cluster."""
    return one.cluster.partition(":")[2]
