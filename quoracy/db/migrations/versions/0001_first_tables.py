"""First tables: clusters, nodes, operations, steps, leases, snapshots."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make all tables."""
    _create_inventory()
    _create_journal()
    _create_leases()
    _create_snapshots()


def downgrade() -> None:
    """Drop all tables and what is in them."""
    for table in ("snapshots", "leases", "steps", "operations", "nodes", "clusters"):
        op.drop_table(table)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _string(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=nullable)


def _create_inventory() -> None:
    op.create_table(
        "clusters",
        _string("name"),
        _string("kind"),
        _string("version"),
        _text("spec"),
        _string("spec_digest"),
        _string("cluster_id", nullable=True),
        _moment("created_at"),
        _moment("updated_at"),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "nodes",
        _string("cluster"),
        _string("name"),
        _string("role"),
        _string("address"),
        _string("status"),
        sa.Column("vars", sa.JSON(), nullable=False),
        _moment("updated_at"),
        _text("error", nullable=True),
        sa.ForeignKeyConstraint(["cluster"], ["clusters.name"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("cluster", "name"),
    )


def _create_journal() -> None:
    op.create_table(
        "operations",
        *(_string(name) for name in ("id", "cluster", "kind", "title", "state")),
        _string("outcome", nullable=True),
        *(_string(name) for name in ("holder", "requested_by", "origin")),
        _text("plan"),
        _string("plan_digest"),
        _string("flow_run_id", nullable=True),
        sa.Column("fence", sa.BigInteger(), nullable=True),
        _moment("started_at"),
        _moment("heartbeat_at"),
        _moment("ended_at", nullable=True),
        _text("error", nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_operations_cluster_started_at", "operations", ["cluster", "started_at"])
    op.create_table(
        "steps",
        sa.Column("id", sa.Integer(), nullable=False),
        _string("operation_id"),
        sa.Column("seq", sa.Integer(), nullable=False),
        *(_string(name) for name in ("group", "host", "name", "title")),
        _text("reason"),
        _string("state"),
        _text("detail"),
        _moment("started_at", nullable=True),
        _moment("ended_at", nullable=True),
        sa.ForeignKeyConstraint(["operation_id"], ["operations.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("operation_id", "seq"),
    )


def _create_leases() -> None:
    op.create_table(
        "leases",
        _string("cluster"),
        _string("holder", nullable=True),
        _string("operation_id"),
        _string("reason"),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        _moment("taken_at"),
        _moment("heartbeat_at"),
        _string("boot_id"),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("process_started", sa.BigInteger(), nullable=False),
        _string("machine"),
        sa.PrimaryKeyConstraint("cluster"),
    )


def _create_snapshots() -> None:
    op.create_table(
        "snapshots",
        *(_string(name) for name in ("id", "cluster", "cluster_id")),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        *(_string(name) for name in ("sha256", "etcd_version", "location", "member")),
        _moment("taken_at"),
        _string("operation_id", nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_snapshots_cluster_taken_at", "snapshots", ["cluster", "taken_at"])
