"""Make an engine from a database URL, and report its failures without the URL's password."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from quoracy.errors import QuoracyError, UsageError

_FORMS = "write sqlite:////absolute/path.db or postgresql://user:password@host/name"
_BUSY_SECONDS = 10  # a member may be down while its step is written
_WAL = "PRAGMA journal_mode = WAL"

# libpq connection parameters; without them a connection to a vanished server hangs for minutes
# (PostgreSQL documentation, 34.1.2: connect_timeout, keepalives_idle, tcp_user_timeout in ms).
_LIBPQ = {
    "application_name": "quoracy",
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "tcp_user_timeout": 30_000,
}


def make_engine(database_url: str) -> Engine:
    """Return an engine for SQLite (a file, made with mode 0600) or PostgreSQL (psycopg).

    Raises:
        UsageError: The URL cannot be used.
        QuoracyError: The SQLite file cannot be made.
    """
    url = _parse(database_url)
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url)
    options = {name: value for name, value in _LIBPQ.items() if name not in url.query}
    return create_engine(url, connect_args=options, pool_pre_ping=True, hide_parameters=True)


def shown(url: URL) -> str:
    """Return the URL as it may be shown: no password, and no query, which can hold one too."""
    return url.set(query={}).render_as_string(hide_password=True)


@contextmanager
def reported(url: URL) -> Iterator[None]:
    """Turn a failure of the database into a QuoracyError that names the database.

    Only the first line of the driver's message is told: PostgreSQL adds the values of a row in
    the lines after it.
    """
    try:
        yield
    except (DBAPIError, PoolTimeout) as error:
        said = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        raise QuoracyError(
            f"the database did not do as asked: {said}",
            where=shown(url),
            next_step="see that the database runs and that QUORACY_DATABASE_URL "
            "(or database_url in config.toml) is right",
        ) from error


def _parse(database_url: str) -> URL:
    try:
        url = make_url(database_url)
    except (ArgumentError, ValueError):
        # `from None`: what cannot be parsed is repeated by the parser, password included.
        raise UsageError("the database URL cannot be read", next_step=_FORMS) from None
    if url.drivername in ("postgresql", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername != "sqlite":
        raise UsageError(
            f"databases of the kind {url.drivername!r} are not supported", next_step=_FORMS
        )
    if not url.database or not Path(url.database).is_absolute():
        # A relative path would mean another database in every working directory.
        raise UsageError(
            "a SQLite database needs an absolute path", where=shown(url), next_step=_FORMS
        )
    return url


def _sqlite_engine(url: URL) -> Engine:
    _make_private_file(Path(str(url.database)))
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS}, hide_parameters=True)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def _make_private_file(path: Path) -> None:
    """Make an empty database in WAL mode, complete before it gets its name; keep one that exists.

    An existing file is not even opened: closing it would drop the locks of all connections that
    this process has to it (sqlite.org/howtocorrupt.html, 2.2). And of several processes that
    switch a new file to WAL at once, one fails with "database is locked", busy timeout or not.
    """
    if path.exists():
        return
    try:
        with tempfile.TemporaryDirectory(prefix=".new-", dir=path.parent) as directory:
            new = Path(directory) / path.name
            new.touch(mode=0o600)  # SQLite gives the -wal and -shm files the same mode
            connection = sqlite3.connect(new)
            connection.execute(_WAL)
            connection.close()
            with suppress(FileExistsError):  # another process was faster
                path.hardlink_to(new)
    except OSError as error:
        raise QuoracyError(
            f"the database file cannot be made: {error.strerror}",
            where=str(path),
            next_step="make its directory and see that you may write to it",
        ) from error


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # Python's driver would begin transactions by itself, and only before a writing statement;
    # with None it leaves that to `_begin_immediate` (SQLAlchemy: "pysqlite serializable").
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(_WAL)
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    # A transaction that reads first and writes later fails at once with SQLITE_BUSY_SNAPSHOT when
    # another one wrote in between, whatever the busy timeout (sqlite.org/isolation.html).
    connection.exec_driver_sql("BEGIN IMMEDIATE")
