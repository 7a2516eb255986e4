"""Open the database and work in transactions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from sqlalchemy import Engine, func
from sqlmodel import Session, select

from quoracy.db import schema
from quoracy.db.engine import make_engine, reported
from quoracy.db.types import UtcDateTime


class Database:
    """An open database; safe to share between threads, not between processes.

    Args:
        engine: Made by `quoracy.db.engine.make_engine`.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One transaction: committed at the end, rolled back when an exception leaves the block.

        Keep it short: on SQLite no other session gets in meanwhile. Rows stay readable afterwards.

        Raises:
            QuoracyError: The database could not be reached, or did not do as asked.
        """
        with (
            reported(self.engine.url),
            Session(self.engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    def now(self) -> datetime:
        """Return the time by which leases are judged: the same clock for all who share a database.

        Controllers may disagree about the time, and one whose clock is ahead must not take a live
        lease; so PostgreSQL is asked. A SQLite file is used on one machine.
        """
        if self.engine.dialect.name == "sqlite":
            return datetime.now(UTC)
        with self.session() as session:
            return session.exec(select(func.clock_timestamp(type_=UtcDateTime()))).one()

    def migrate(self) -> None:
        """Bring the schema up to the one this version works with."""
        with reported(self.engine.url), self.engine.begin() as connection:
            schema.upgrade(connection)

    def downgrade(self, revision: str) -> None:
        """Take the schema back to a revision; "base" drops all tables and what is in them."""
        with reported(self.engine.url), self.engine.begin() as connection:
            schema.downgrade(connection, revision)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def open_database(url: str) -> Database:
    """Connect, and bring the schema up to date when it is not.

    Args:
        url: `sqlite:////absolute/path` or `postgresql://user:password@host/name`.

    Raises:
        UsageError: The URL cannot be used, or the schema is newer than this version.
        QuoracyError: The database cannot be reached; its password is not shown.
    """
    database = Database(make_engine(url))
    try:
        with reported(database.engine.url), database.engine.connect() as connection:
            found = schema.revision_of(connection)
        if found != schema.head():
            database.migrate()
    except BaseException:
        database.close()
        raise
    return database
