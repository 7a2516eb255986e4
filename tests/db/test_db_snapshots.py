from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from quoracy.db.session import Database
from quoracy.db.snapshots import NewSnapshot, list_snapshots, newest_snapshot, record_snapshot


def snapshot(now: datetime, **changes: Any) -> NewSnapshot:
    given = {
        "cluster": "demo",
        "cluster_id": "cdf818194e3a8c32",
        "revision": 2**40,
        "size_bytes": 2**33,
        "sha256": "a" * 64,
        "etcd_version": "3.5.30",
        "location": "s3://backups/demo/1.db",
        "member": "demo-2",
        "taken_at": now,
        "operation_id": "op",
        **changes,
    }
    return NewSnapshot(**given)


def test_a_snapshot_is_kept_as_it_was_recorded(db: Database, now: datetime) -> None:
    snapshot_id = record_snapshot(db, snapshot(now))
    found = newest_snapshot(db, "demo")
    assert found is not None
    assert found.model_dump() == {
        "id": snapshot_id,
        "cluster": "demo",
        "cluster_id": "cdf818194e3a8c32",
        "revision": 2**40,
        "size_bytes": 2**33,
        "sha256": "a" * 64,
        "etcd_version": "3.5.30",
        "location": "s3://backups/demo/1.db",
        "member": "demo-2",
        "taken_at": now,
        "operation_id": "op",
    }


def test_snapshots_are_listed_newest_first(db: Database, now: datetime) -> None:
    for hours, revision in ((1, 10), (3, 30), (2, 20), (3, 31)):
        taken_at = now + timedelta(hours=hours)
        record_snapshot(db, snapshot(now, taken_at=taken_at, revision=revision))
    record_snapshot(db, snapshot(now + timedelta(hours=9), cluster="stage", operation_id=None))
    assert [found.revision for found in list_snapshots(db, "demo")] == [31, 30, 20, 10]
    newest = newest_snapshot(db, "demo")
    assert newest is not None
    assert newest.revision == 31


def test_a_cluster_without_snapshots(db: Database) -> None:
    assert list_snapshots(db, "demo") == []
    assert newest_snapshot(db, "demo") is None
