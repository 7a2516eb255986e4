"""One operation per cluster at a time: the lease and its fencing number.

All times are `Database.now()`, one clock for all who share the database.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import bindparam, literal, or_, text
from sqlmodel import Session, col, select, update

from quoracy.db.holder import Holder, is_gone
from quoracy.db.models import Lease, Operation
from quoracy.db.session import Database
from quoracy.db.types import UtcDateTime
from quoracy.errors import LeaseHeld

EXPIRES_AFTER = timedelta(seconds=60)

LeaseState = Literal["free", "live", "expired", "process gone"]

# One statement, so that of two takers the second one sees what the first one wrote. SQLite and
# PostgreSQL both lock the row and then look at the WHERE. `excluded` is the row of VALUES.
# A released lease keeps its row, therefore numbers never start again at 1.
_TAKE = text(
    """
    INSERT INTO leases (cluster, holder, operation_id, reason, fence, taken_at, heartbeat_at,
                        boot_id, pid, process_started, machine)
    VALUES (:cluster, :holder, :operation_id, :reason, 1, :now, :now,
            :boot_id, :pid, :process_started, :machine)
    ON CONFLICT (cluster) DO UPDATE SET
        holder = excluded.holder, operation_id = excluded.operation_id, reason = excluded.reason,
        fence = leases.fence + 1,
        taken_at = excluded.taken_at, heartbeat_at = excluded.heartbeat_at,
        boot_id = excluded.boot_id, pid = excluded.pid,
        process_started = excluded.process_started, machine = excluded.machine
    WHERE leases.holder IS NULL
       OR leases.heartbeat_at < :expired_before
       OR (leases.holder = :dead_holder AND leases.fence = :dead_fence)
    RETURNING fence
    """
).bindparams(
    bindparam("now", type_=UtcDateTime()), bindparam("expired_before", type_=UtcDateTime())
)


def take_lease(
    db: Database,
    *,
    cluster: str,
    operation_id: str,
    holder: Holder,
    reason: str,
    now: datetime,
) -> int:
    """Take a cluster's lease when it is free, expired, or of a dead process.

    Returns the fencing number: higher than all before. What hosts have seen does not count here: a single
    one that tells of a number without reason would raise it for all.

    Raises:
        LeaseHeld: Another operation holds it.
    """
    observed = get_lease(db, cluster)
    dead = observed if observed is not None and is_gone(_holder(observed), holder) else None
    values = {
        "cluster": cluster,
        "holder": holder.id,
        "operation_id": operation_id,
        "reason": reason,
        "now": now,
        "boot_id": holder.boot_id,
        "pid": holder.pid,
        "process_started": holder.process_started,
        "machine": holder.machine,
        "expired_before": now - EXPIRES_AFTER,
        # Looking for the process takes time: only what was looked at may be taken.
        "dead_holder": dead.holder if dead else None,
        "dead_fence": dead.fence if dead else None,
    }
    with db.session() as session:
        fence: int | None = session.connection().execute(_TAKE, values).scalar()
    if fence is None:
        raise held(get_lease(db, cluster), cluster)
    return fence


def get_lease(db: Database, cluster: str) -> Lease | None:
    """Return the lease of a cluster, live or not; None when it is free."""
    with db.session() as session:
        lease = session.get(Lease, cluster)
    return None if lease is None or lease.holder is None else lease


def highest_fence(db: Database, cluster: str) -> int:
    """The highest number that was given for a cluster; 0 before the first."""
    with db.session() as session:
        lease = session.get(Lease, cluster)
    return lease.fence if lease else 0


def is_taken_over(db: Database, cluster: str, fence: int) -> bool:
    """Whether somebody has taken the lease after the holder of that number, and may have let it go."""
    with db.session() as session:
        lease = session.get(Lease, cluster)
    return lease is not None and lease.fence > fence


def list_leases(db: Database) -> list[Lease]:
    """Return the lease of every cluster that ever had one, also those that are free, by name."""
    with db.session() as session:
        return list(session.exec(select(Lease).order_by(col(Lease.cluster))).all())


def lease_state(lease: Lease, here: Holder, now: datetime) -> LeaseState:
    """Tell how a lease stands; all but a live one can be taken."""
    if lease.holder is None:
        return "free"
    # Certain at once, while an expiry says only that nothing was heard.
    if is_gone(_holder(lease), here):
        return "process gone"
    return "expired" if lease.heartbeat_at < now - EXPIRES_AFTER else "live"


def is_live(lease: Lease, here: Holder, now: datetime) -> bool:
    """Tell whether a lease keeps others away; unlike an expired one it cannot be taken."""
    return lease_state(lease, here, now) == "live"


def break_lease(
    db: Database, looked_at: Lease, *, by: str, here: Holder, now: datetime, also: str = ""
) -> bool:
    """Free a lease whose holder is dead, and end its operation in the journal as failed.

    Its number stays, so what the holder might still ask for is refused once a successor has acted.

    Args:
        db: Where the lease is.
        looked_at: The lease as it was shown; only that one is freed.
        by: Who asks for it, for the journal.
        here: The calling process.
        now: The present.
        also: What the journal says besides.

    Returns:
        False when it is free or live, or no longer the one that was looked at.
    """
    if looked_at.holder is None:
        return False
    gone = is_gone(_holder(looked_at), here)
    freed = (
        update(Lease)
        .where(
            col(Lease.cluster) == looked_at.cluster,
            col(Lease.holder) == looked_at.holder,
            col(Lease.fence) == looked_at.fence,
            # A holder that only slept may beat again between the look and this statement.
            or_(literal(gone), col(Lease.heartbeat_at) < now - EXPIRES_AFTER),
        )
        .values(holder=None)
    )
    why = (
        "its process had ended" if gone else f"its last beat was at {_utc(looked_at.heartbeat_at)}"
    )
    with db.session() as session:
        if session.exec(freed).rowcount != 1:
            return False
        said = f"{by} broke its lease at {_utc(now)}: {why}" + (f"; {also}" if also else "")
        _end(session, looked_at.operation_id, said, now)
    return True


def beat(db: Database, cluster: str, holder: Holder, fence: int, now: datetime) -> bool:
    """Say that the holder lives; False when the lease is no longer its own."""
    with db.session() as session:
        ours = (
            update(Lease)
            .where(
                col(Lease.cluster) == cluster,
                col(Lease.holder) == holder.id,
                col(Lease.fence) == fence,
            )
            .values(heartbeat_at=now)
            .returning(col(Lease.operation_id))
        )
        operation_id = session.exec(ours).scalar_one_or_none()
        if operation_id is None:
            return False
        journal = update(Operation).where(col(Operation.id) == operation_id)
        session.exec(journal.values(heartbeat_at=now))
    return True


def release_lease(db: Database, cluster: str, holder: Holder, fence: int) -> bool:
    """Free a lease; False when it was no longer its own."""
    with db.session() as session:
        ours = (
            update(Lease)
            .where(
                col(Lease.cluster) == cluster,
                col(Lease.holder) == holder.id,
                col(Lease.fence) == fence,
            )
            .values(holder=None)
        )
        return session.exec(ours).rowcount == 1


def held(lease: Lease | None, cluster: str = "") -> LeaseHeld:
    """Return the error that says who holds a lease; None: it changed hands while it was asked for."""
    if lease is None:
        return LeaseHeld(
            "another operation has worked on it until now", where=cluster, next_step="run it again"
        )
    return LeaseHeld(
        f"{lease.holder} works on it since {_utc(lease.taken_at)}: {lease.reason}. "
        f"Its lease expires {EXPIRES_AFTER.seconds} s after its last beat, "
        f"which was at {_utc(lease.heartbeat_at)}",
        where=lease.cluster,
        next_step=f"wait until it has ended; look at it with `quoracy lease show {lease.cluster}`",
    )


def _end(session: Session, operation_id: str, error: str, now: datetime) -> None:
    """End an operation in the transaction that frees its lease: neither is true without the other."""
    running = (col(Operation.id) == operation_id, col(Operation.state) == "running")
    ended = {"state": "ended", "outcome": "failed", "error": error, "ended_at": now}
    session.exec(update(Operation).where(*running).values(**ended))


def _holder(lease: Lease) -> Holder:
    return Holder(
        id=lease.holder or "",
        machine=lease.machine,
        boot_id=lease.boot_id,
        pid=lease.pid,
        process_started=lease.process_started,
    )


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
