"""The tables: what is wanted (clusters, nodes, services) and what was done (operations, steps, snapshots, releases).

Instances that leave this package are detached rows: read them, change them through the functions
beside this module only.
"""

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import JSON, BigInteger, Index, MetaData, String, Text, UniqueConstraint
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from quoracy.db.types import RedactedText, UtcDateTime

OperationState = Literal["running", "ended"]
Outcome = Literal[
    "done",
    "nothing_to_do",
    "dry_run",
    "refused",
    "stopped",
    "failed",
    "rolled_back",
    "rollback_failed",
]
StepState = Literal["planned", "started", "done", "failed", "undone", "undo_failed"]

# Named constraints can be changed by later migrations on both databases.
_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Table(SQLModel, registry=registry(metadata=MetaData(naming_convention=_NAMES))):
    """Base of all tables; its metadata is its own, so that other SQLModel users do not mix in."""


class Cluster(Table, table=True):
    """What is wanted of one cluster.

    `cluster_id` is etcd's identity of the cluster in hexadecimal, pinned when it was created.
    """

    __tablename__ = "clusters"

    name: str = Field(primary_key=True)
    kind: str
    version: str
    spec: str = Field(sa_type=Text)
    spec_digest: str
    cluster_id: str | None = None
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)


class Node(Table, table=True):
    """One host of a cluster, and how it was when an operation last looked at it."""

    __tablename__ = "nodes"

    cluster: str = Field(primary_key=True, foreign_key="clusters.name", ondelete="CASCADE")
    name: str = Field(primary_key=True)
    role: str
    address: str
    status: str
    vars: dict[str, Any] = Field(sa_type=JSON)
    updated_at: datetime = Field(sa_type=UtcDateTime)
    error: str | None = Field(default=None, sa_type=RedactedText)


class Operation(Table, table=True):
    """One run of an operation; never deleted, so `cluster` refers to no row: history outlives it.

    `holder` is the process that runs it, `requested_by` who asked for it, `origin` from where
    (terminal, prefect or api, and the host name). `fence` is None when no lease was taken.
    """

    __tablename__ = "operations"
    __table_args__ = (Index(None, "cluster", "started_at"),)

    id: str = Field(primary_key=True)
    cluster: str
    kind: str
    title: str
    state: OperationState = Field(sa_type=String)
    outcome: Outcome | None = Field(default=None, sa_type=String)
    holder: str
    requested_by: str
    origin: str
    plan: str = Field(sa_type=Text)
    plan_digest: str
    flow_run_id: str | None = None
    fence: int | None = Field(default=None, sa_type=BigInteger)
    started_at: datetime = Field(sa_type=UtcDateTime)
    heartbeat_at: datetime = Field(sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    error: str | None = Field(default=None, sa_type=RedactedText)


class StepRecord(Table, table=True):
    """One step of an operation's plan and what became of it; `group` is a member's name or ''.

    `undo` is JSON of the steps that put it back; an empty list when there is nothing to put back,
    or no longer any way back.
    """

    __tablename__ = "steps"
    __table_args__ = (UniqueConstraint("operation_id", "seq"),)

    id: int | None = Field(default=None, primary_key=True)
    operation_id: str = Field(foreign_key="operations.id")
    seq: int
    group: str
    host: str
    name: str
    title: str
    reason: str = Field(sa_type=Text)
    state: StepState = Field(sa_type=String)
    detail: str = Field(default="", sa_type=RedactedText)
    undo: str = Field(default="[]", sa_type=Text)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Lease(Table, table=True):
    """Who may work on a cluster; free when `holder` is None.

    The row outlives the release and the cluster: `fence` must never fall, because the hosts refuse
    a number lower than one they have seen. `boot_id`, `pid`, `process_started` (clock ticks since
    boot) and `machine` tell whether the holder's process still lives.
    """

    __tablename__ = "leases"

    cluster: str = Field(primary_key=True)
    holder: str | None
    operation_id: str
    reason: str
    fence: int = Field(sa_type=BigInteger)
    taken_at: datetime = Field(sa_type=UtcDateTime)
    heartbeat_at: datetime = Field(sa_type=UtcDateTime)
    boot_id: str
    pid: int
    process_started: int = Field(sa_type=BigInteger)
    machine: str


class Snapshot(Table, table=True):
    """One verified backup; `location` is its URL in a snapshot store, `member` where it was taken."""

    __tablename__ = "snapshots"
    __table_args__ = (Index(None, "cluster", "taken_at"),)

    id: str = Field(primary_key=True)
    cluster: str
    cluster_id: str
    revision: int = Field(sa_type=BigInteger)
    size_bytes: int = Field(sa_type=BigInteger)
    sha256: str
    etcd_version: str
    location: str
    member: str
    taken_at: datetime = Field(sa_type=UtcDateTime)
    operation_id: str | None = None


class Service(Table, table=True):
    """A service as it was wanted when it was redeployed last; `project` is the user's directory.

    `spec` is JSON without the values of the environment, which may be secrets.
    """

    __tablename__ = "services"

    name: str = Field(primary_key=True)
    type: str
    project: str
    spec: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)


class Release(Table, table=True):
    """A release that was made of a service: digest and size of its code, and by which operation."""

    __tablename__ = "releases"

    service: str = Field(primary_key=True, foreign_key="services.name", ondelete="CASCADE")
    id: str = Field(primary_key=True)
    source: str
    note: str
    files: int = Field(sa_type=BigInteger)
    bytes: int = Field(sa_type=BigInteger)
    operation_id: str
    created_at: datetime = Field(sa_type=UtcDateTime)
