from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from quoracy.db.heartbeat import BEAT_EVERY, Heartbeat
from quoracy.db.holder import this_process
from quoracy.db.lease import EXPIRES_AFTER, get_lease, take_lease
from quoracy.db.operations import NewOperation, get_operation, start_operation
from quoracy.db.session import Database
from quoracy.errors import HostUnreachable

OFTEN = timedelta(milliseconds=5)


def held_lease(db: Database, now: datetime | None = None) -> int:
    now = now or db.now()
    return take_lease(
        db, cluster="demo", operation_id="op", holder=this_process(), reason="test", now=now
    )


def last_beat(db: Database) -> datetime:
    lease = get_lease(db, "demo")
    assert lease is not None
    return lease.heartbeat_at


def eventually(holds: Callable[[], bool]) -> None:
    """Wait for something that happens in the other thread; pytest's timeout ends it otherwise."""
    while not holds():
        time.sleep(0.005)


def next_beat(db: Database) -> None:
    """Wait for the next beat."""
    before = last_beat(db)
    eventually(lambda: last_beat(db) > before)


def rename(db: Database, table: str, to: str) -> None:
    with db.session() as session:
        session.connection().execute(text(f"ALTER TABLE {table} RENAME TO {to}"))


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


def test_several_beats_may_be_missed_before_a_lease_expires() -> None:
    assert BEAT_EVERY * 5 < EXPIRES_AFTER


def test_it_beats_while_the_block_runs_and_not_after(db: Database) -> None:
    fence = held_lease(db)
    first = last_beat(db)
    with Heartbeat(db, "demo", this_process(), fence, every=OFTEN) as heartbeat:
        eventually(lambda: last_beat(db) > first)
        second = last_beat(db)
        eventually(lambda: last_beat(db) > second)
        assert "lease demo" in threads()
    assert "lease demo" not in threads()
    assert (heartbeat.failures, heartbeat.lost) == ([], False)


def test_the_journal_shows_the_beat_too(db: Database, now: datetime) -> None:
    operation = NewOperation(
        id="op",
        cluster="demo",
        kind="etcd-deploy",
        title="Deploy etcd",
        holder="h",
        requested_by="ann",
        origin="terminal ops1",
        plan="{}",
        plan_digest="0",
    )
    start_operation(db, operation, now=now)
    fence = held_lease(db)
    with Heartbeat(db, "demo", this_process(), fence, every=OFTEN):
        eventually(lambda: get_operation(db, "op").heartbeat_at > now)


def test_an_error_in_the_block_ends_it_and_goes_on(db: Database) -> None:
    fence = held_lease(db)
    with (
        pytest.raises(KeyError),
        Heartbeat(db, "demo", this_process(), fence, every=OFTEN),
    ):
        raise KeyError
    assert "lease demo" not in threads()


def test_a_beat_that_fails_is_remembered_and_the_next_one_is_tried(db: Database) -> None:
    fence = held_lease(db)
    with Heartbeat(db, "demo", this_process(), fence, every=OFTEN) as heartbeat:
        rename(db, "leases", "away")
        eventually(lambda: len(heartbeat.failures) >= 2)
        rename(db, "away", "leases")
        next_beat(db)
        assert "leases" in heartbeat.failures[0]
        assert not heartbeat.lost


def test_a_beat_that_fails_in_an_unforeseen_way_does_not_end_the_beats(db: Database) -> None:
    no_text = "\udcff"  # half a character: no driver can send it, and none says so in its own words
    with Heartbeat(db, no_text, this_process(), 1, every=OFTEN) as heartbeat:
        eventually(lambda: len(heartbeat.failures) >= 2)
    assert heartbeat.failures[0].startswith("UnicodeEncodeError: ")
    assert not heartbeat.lost


def test_a_lost_lease_is_told_and_ends_the_beats(db: Database) -> None:
    fence = held_lease(db)
    with Heartbeat(db, "demo", this_process(), fence, every=OFTEN) as heartbeat:
        held_lease(db, db.now() + 2 * EXPIRES_AFTER)
        eventually(lambda: heartbeat.lost)
        eventually(lambda: "lease demo" not in threads())
    assert heartbeat.failures == []


def test_the_second_duty_is_done_after_each_beat_and_not_after_the_block(db: Database) -> None:
    fence, done = held_lease(db), []
    with Heartbeat(
        db, "demo", this_process(), fence, every=OFTEN, also=lambda: done.append(last_beat(db))
    ):
        eventually(lambda: len(done) >= 3)
        assert "claim demo" in threads()
    assert "claim demo" not in threads()
    assert done == sorted(done)


def test_a_second_duty_that_hangs_delays_no_beat(db: Database) -> None:
    fence, free, calls = held_lease(db), threading.Event(), []

    def slow() -> None:
        calls.append(threading.current_thread().name)
        free.wait()

    with Heartbeat(db, "demo", this_process(), fence, every=OFTEN, also=slow):
        eventually(lambda: len(calls) == 1)
        for _ in range(3):
            next_beat(db)
        assert calls == ["claim demo"]
        free.set()
        eventually(lambda: len(calls) > 1)


def test_a_second_duty_that_fails_is_remembered_and_tried_again(db: Database) -> None:
    fence, errors = held_lease(db), [HostUnreachable("it is away", where="etcd-1"), KeyError("x")]

    def fail() -> None:
        raise errors[len(heartbeat.failures) % 2]

    with Heartbeat(db, "demo", this_process(), fence, every=OFTEN, also=fail) as heartbeat:
        eventually(lambda: len(heartbeat.failures) >= 3)
        next_beat(db)
    assert heartbeat.failures[:3] == ["etcd-1: it is away", "KeyError: 'x'", "etcd-1: it is away"]
    assert [text.split(" (")[0] for text in heartbeat.trouble] == heartbeat.failures[:2]


def test_the_second_duty_goes_on_while_the_database_is_away(db: Database) -> None:
    fence, done = held_lease(db), []
    with Heartbeat(
        db, "demo", this_process(), fence, every=OFTEN, also=lambda: done.append(1)
    ) as heartbeat:
        rename(db, "leases", "away")
        eventually(lambda: len(heartbeat.failures) >= 2)
        before = len(done)
        eventually(lambda: len(done) > before)
        rename(db, "away", "leases")


def test_the_second_duty_ends_when_the_lease_is_lost(db: Database) -> None:
    fence = held_lease(db)
    with Heartbeat(db, "demo", this_process(), fence, every=OFTEN, also=lambda: None) as heartbeat:
        held_lease(db, db.now() + 2 * EXPIRES_AFTER)
        eventually(lambda: "claim demo" not in threads())
        assert heartbeat.trouble == (
            f"demo: the lease with number {fence} was lost to someone else",
        )
