"""Which schema a database has and how it gets to another one; Alembic is imported only for that."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from quoracy.errors import UsageError

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATION_LOCK = 0x71756F726163  # "quorac": an arbitrary number that all Quoracy processes share


def known_revisions() -> tuple[str, ...]:
    """Return the revisions this version can migrate to, oldest first: files `0001_*.py` and so on."""
    return tuple(sorted(file.name[:4] for file in (MIGRATIONS / "versions").glob("[0-9]*.py")))


def head() -> str:
    """Return the revision that the models of this version describe."""
    return known_revisions()[-1]


def revision_of(connection: Connection) -> str | None:
    """Return the revision of a database; None when it has no tables yet.

    Raises:
        UsageError: A later version of Quoracy, or another program, has made the tables.
    """
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if found is None or found in known_revisions():
        return found
    raise UsageError(
        f"the database has schema {found!r}, which this version of Quoracy does not know",
        next_step="use the version that made it, or, if it belongs to another program, "
        "a database of its own",
    )


def upgrade(connection: Connection) -> None:
    """Bring the schema to head, within the transaction of the connection."""
    from alembic import command  # 0.4 s, needed once per schema change

    _wait_for_turn(connection)
    command.upgrade(_config(connection), "head")


def downgrade(connection: Connection, revision: str) -> None:
    """Take the schema back to a revision ("base": no tables), within the transaction."""
    from alembic import command

    _wait_for_turn(connection)
    command.downgrade(_config(connection), revision)


def _wait_for_turn(connection: Connection) -> None:
    # Two processes may meet a new database at once. SQLite's BEGIN IMMEDIATE lets one in at a time.
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    # The option goes through ConfigParser, where % starts an interpolation.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
