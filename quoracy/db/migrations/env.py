"""Run migrations on the connection that `quoracy.db.schema` hands over, in its transaction."""

from alembic import context

from quoracy.db.models import Table

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Table.metadata
)
with context.begin_transaction():
    context.run_migrations()
