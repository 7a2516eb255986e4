"""The journal keeps how each step is put back, so that a later process can do it."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column; of older operations nothing can be put back."""
    op.add_column("steps", sa.Column("undo", sa.Text(), nullable=False, server_default="[]"))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("steps", "undo")
