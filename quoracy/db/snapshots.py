"""The catalogue of verified backups; they outlive their cluster."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from sqlmodel import col, select

from quoracy.db.models import Snapshot
from quoracy.db.session import Database


@dataclass(frozen=True, slots=True)
class NewSnapshot:
    """A backup that was taken, stored and verified.

    Args:
        cluster_id: Identity of the etcd cluster; revisions compare only within one.
        location: Its URL in the snapshot store, without credentials.
        member: The member it was taken from.
        operation_id: The operation that took it; None for one found in a store.
    """

    cluster: str
    cluster_id: str
    revision: int
    size_bytes: int
    sha256: str
    etcd_version: str
    location: str
    member: str
    taken_at: datetime
    operation_id: str | None = None


def record_snapshot(db: Database, snapshot: NewSnapshot) -> str:
    """Record a backup and return its ID."""
    snapshot_id = uuid4().hex
    with db.session() as session:
        session.add(
            Snapshot(
                id=snapshot_id,
                cluster=snapshot.cluster,
                cluster_id=snapshot.cluster_id,
                revision=snapshot.revision,
                size_bytes=snapshot.size_bytes,
                sha256=snapshot.sha256,
                etcd_version=snapshot.etcd_version,
                location=snapshot.location,
                member=snapshot.member,
                taken_at=snapshot.taken_at,
                operation_id=snapshot.operation_id,
            )
        )
    return snapshot_id


def list_snapshots(db: Database, cluster: str) -> list[Snapshot]:
    """Return the backups of a cluster, newest first."""
    wanted = select(Snapshot).where(Snapshot.cluster == cluster)
    newest_first = wanted.order_by(col(Snapshot.taken_at).desc(), col(Snapshot.revision).desc())
    with db.session() as session:
        return list(session.exec(newest_first).all())


def newest_snapshot(db: Database, cluster: str) -> Snapshot | None:
    """Return the backup of a cluster that was taken last."""
    return next(iter(list_snapshots(db, cluster)), None)
