from __future__ import annotations

import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import StatementError
from sqlmodel import select

from quoracy.db.engine import make_engine
from quoracy.db.models import Cluster
from quoracy.db.session import Database, open_database
from quoracy.errors import QuoracyError, UsageError


def cluster(name: str, at: datetime) -> Cluster:
    return Cluster(
        name=name,
        kind="etcd",
        version="3.5.30",
        spec="{}",
        spec_digest="0",
        created_at=at,
        updated_at=at,
    )


def names(db: Database) -> list[str]:
    with db.session() as session:
        return sorted(session.exec(select(Cluster.name)).all())


def test_a_session_commits(db: Database, now: datetime) -> None:
    with db.session() as session:
        session.add(cluster("demo", now))
    assert names(db) == ["demo"]


def test_a_session_that_is_left_by_an_exception_changes_nothing(
    db: Database, now: datetime
) -> None:
    def fail_half_way() -> None:
        with db.session() as session:
            session.add(cluster("demo", now))
            session.flush()
            raise KeyError

    with pytest.raises(KeyError):
        fail_half_way()
    assert names(db) == []


def test_moments_come_back_in_utc_whatever_zone_they_had(db: Database, now: datetime) -> None:
    elsewhere = (now + timedelta(microseconds=1)).astimezone(timezone(timedelta(hours=-7)))
    with db.session() as session:
        session.add(cluster("demo", elsewhere))
    with db.session() as session:
        found = session.get(Cluster, "demo")
    assert found is not None
    assert found.created_at == elsewhere
    assert found.created_at.tzinfo is UTC


def test_moments_compare_in_sql(db: Database, now: datetime) -> None:
    with db.session() as session:
        session.add(cluster("early", now))
        session.add(cluster("late", now + timedelta(microseconds=1)))
    with db.session() as session:
        later = session.exec(select(Cluster.name).where(Cluster.created_at > now)).all()
    assert later == ["late"]


def test_a_naive_moment_is_not_stored(db: Database, now: datetime) -> None:
    with pytest.raises(StatementError, match="without time zone"), db.session() as session:
        session.add(cluster("demo", now.replace(tzinfo=None)))
    assert names(db) == []


def test_the_clock_of_the_database_is_aware_and_goes_forward(db: Database) -> None:
    first, second = db.now(), db.now()
    assert first.tzinfo is UTC
    assert first <= second


def test_foreign_keys_are_enforced(db: Database) -> None:
    with pytest.raises(QuoracyError, match=r"(?i)foreign key"), db.session() as session:
        session.connection().execute(
            text(
                'INSERT INTO steps (operation_id, seq, "group", host, name, title, reason,'
                " state, detail) VALUES ('none', 1, '', '', '', '', '', '', '')"
            )
        )


def test_writers_in_many_threads_wait_for_each_other(db: Database, now: datetime) -> None:
    def add(number: int) -> None:
        with db.session() as session:
            session.exec(select(Cluster)).all()  # reads first: the case that a busy timeout misses
            session.add(cluster(f"c{number:03}", now))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(100)))
    assert names(db) == [f"c{number:03}" for number in range(100)]


def test_an_sqlite_file_is_private_and_written_ahead(tmp_path: Path, now: datetime) -> None:
    db = open_database(f"sqlite:///{tmp_path}/q.db")
    with db.session() as session:
        session.add(cluster("demo", now))
        mode = session.connection().execute(text("PRAGMA journal_mode")).scalar()
        foreign_keys = session.connection().execute(text("PRAGMA foreign_keys")).scalar()
        busy = session.connection().execute(text("PRAGMA busy_timeout")).scalar()
    assert (mode, foreign_keys, busy) == ("wal", 1, 10_000)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes == {"q.db": 0o600, "q.db-wal": 0o600, "q.db-shm": 0o600}
    db.close()


def test_opening_a_file_again_leaves_the_locks_of_this_process(
    tmp_path: Path, now: datetime
) -> None:
    url = f"sqlite:///{tmp_path}/q.db"
    db = open_database(url)
    with db.session() as session:
        session.add(cluster("demo", now))
    make_engine(url).dispose()
    # Without this process's lock the other one takes itself for the last user of the file, and
    # removes the write-ahead log that is in use here.
    code = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.close()"
    )
    query = "SELECT count(*) FROM clusters"
    subprocess.run([sys.executable, "-c", code, tmp_path / "q.db", query], check=True)
    assert (tmp_path / "q.db-wal").exists()
    db.close()
    assert not (tmp_path / "q.db-wal").exists()


def test_importing_and_opening_a_current_database_does_without_alembic(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/q.db"
    open_database(url).close()
    code = (
        "import sys; from quoracy.db.session import open_database;"
        f" open_database({url!r}).close(); print('alembic' in sys.modules)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert shown == "False\n"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("hunter2 no url", "cannot be read"),
        ("mysql://u:hunter2@127.0.0.1/x", "'mysql' are not supported"),
        ("postgresql+asyncpg://u:hunter2@127.0.0.1/x", "not supported"),
        ("postgresql://u:hunter2@127.0.0.1:hunter2/x", "cannot be read"),
        ("sqlite://", "absolute path"),
        ("sqlite:///relative.db", "absolute path"),
    ],
)
def test_a_url_that_cannot_be_used_is_a_usage_error(url: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        open_database(url)
    assert "hunter2" not in str(caught.value)
    assert "postgresql://user:password@host/name" in caught.value.next_step


def test_an_sqlite_file_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    with pytest.raises(QuoracyError, match="No such file") as caught:
        open_database(f"sqlite:///{tmp_path}/missing/q.db")
    assert caught.value.where == f"{tmp_path}/missing/q.db"


def test_a_file_that_is_no_database_is_reported(tmp_path: Path) -> None:
    (tmp_path / "q.db").write_text("not a database, but long enough to look like one" * 40)
    with pytest.raises(QuoracyError, match="not a database"):
        open_database(f"sqlite:///{tmp_path}/q.db")
