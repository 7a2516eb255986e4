from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from quoracy.db import schema
from quoracy.db.clusters import list_clusters
from quoracy.db.models import Table
from quoracy.db.session import Database, open_database
from quoracy.errors import QuoracyError, UsageError

TABLES = {
    "clusters",
    "nodes",
    "operations",
    "steps",
    "leases",
    "snapshots",
    "services",
    "releases",
}


def tables(db: Database) -> set[str]:
    return set(inspect(db.engine).get_table_names()) - {"alembic_version"}


def revision(db: Database) -> str | None:
    with db.engine.connect() as connection:
        return schema.revision_of(connection)


def set_revision(db: Database, to: str) -> None:
    with db.session() as session:
        session.connection().execute(
            text("UPDATE alembic_version SET version_num = :to"), {"to": to}
        )


def test_opening_makes_the_schema(db: Database) -> None:
    assert tables(db) == TABLES
    assert revision(db) == schema.head()


def test_the_migrations_make_what_the_models_describe(db: Database) -> None:
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Table.metadata) == []


def test_constraints_have_the_names_that_the_models_give_them(db: Database) -> None:
    found = inspect(db.engine)
    for table in Table.metadata.tables.values():
        assert found.get_pk_constraint(table.name)["name"] == table.primary_key.name


def test_down_to_nothing_and_up_again(db: Database) -> None:
    db.downgrade("base")
    assert tables(db) == set()
    assert revision(db) is None
    db.migrate()
    assert tables(db) == TABLES
    assert revision(db) == schema.head()


def test_an_old_schema_is_brought_up_when_the_database_is_opened(db: Database, url: str) -> None:
    db.downgrade("base")
    again = open_database(url)
    assert tables(again) == TABLES
    again.close()


def test_migrating_what_is_current_changes_nothing(db: Database) -> None:
    db.migrate()
    assert revision(db) == schema.head()


def test_a_schema_of_a_later_version_is_refused(db: Database, url: str) -> None:
    set_revision(db, "9999")
    with pytest.raises(UsageError, match="'9999', which this version of Quoracy does not know"):
        open_database(url)


def test_a_failing_migration_leaves_the_database_as_it_was(db: Database) -> None:
    with db.session() as session:
        session.connection().execute(text("DROP TABLE nodes"))
    with pytest.raises(QuoracyError, match="nodes"):
        db.downgrade("base")
    assert revision(db) == schema.head()
    assert tables(db) == TABLES - {"nodes"}


def test_openers_that_meet_a_new_database_at_once_migrate_it_once(
    new_url: Callable[[], str],
) -> None:
    for _ in range(5):
        url = new_url()
        with ThreadPoolExecutor(4) as pool:
            opened = list(pool.map(open_database, [url] * 4))
        assert [list_clusters(db) for db in opened] == [[]] * 4
        for db in opened:
            db.close()


def test_the_head_that_is_read_from_file_names_is_the_one_that_alembic_finds() -> None:
    script = ScriptDirectory(str(schema.MIGRATIONS))
    assert script.get_heads() == [schema.head()]
    assert {found.revision for found in script.walk_revisions()} == set(schema.known_revisions())
