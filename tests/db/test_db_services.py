"""Services and their releases in the database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from quoracy.db.clusters import get_cluster
from quoracy.db.models import Release
from quoracy.db.services import list_releases, record_release, record_service
from quoracy.db.session import Database
from quoracy.errors import UsageError

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def service(db: Database, project: str = "/shop") -> None:
    record_service(db, name="web", kind="nodejs", project=project, spec_json="{}", now=NOW)


def release(identity: str, minutes: int, operation: str = "op") -> Release:
    return Release(
        service="web",
        id=identity,
        source="s" * 64,
        note="",
        files=3,
        bytes=2**40,
        operation_id=operation,
        created_at=NOW + timedelta(minutes=minutes),
    )


def test_releases_are_listed_newest_first(db: Database) -> None:
    service(db)
    for number in (1, 3, 2):
        record_release(db, release(f"r{number}", number))
    assert [one.id for one in list_releases(db, "web")] == ["r3", "r2", "r1"]


def test_a_release_keeps_its_first_record(db: Database) -> None:
    service(db)
    record_release(db, release("r1", 1, "first"))
    record_release(db, release("r1", 2, "second"))
    (found,) = list_releases(db, "web")
    assert found.operation_id == "first"
    assert found.bytes == 2**40


def test_a_service_that_moves_keeps_its_releases(db: Database) -> None:
    service(db)
    record_release(db, release("r1", 1))
    service(db, project="/elsewhere")
    assert len(list_releases(db, "web")) == 1


@pytest.mark.parametrize("name", ["web", "service:web"])
def test_who_takes_a_service_for_a_cluster_is_shown_its_commands(db: Database, name: str) -> None:
    service(db)

    with pytest.raises(UsageError) as raised:
        get_cluster(db, name)

    assert "quoracy service status web" in raised.value.next_step
