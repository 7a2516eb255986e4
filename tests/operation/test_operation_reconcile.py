"""What dead processes leave in the database is settled, and what lives is left alone."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from quoracy.db.holder import Holder, this_process
from quoracy.db.lease import get_lease, list_leases, take_lease
from quoracy.db.operations import (
    NewOperation,
    PlannedStep,
    end_operation,
    get_operation,
    plan_steps,
    start_operation,
    step_ended,
    step_started,
)
from quoracy.db.session import Database, open_database
from quoracy.operation.reconcile import Renumbered, operation_of_run, reconcile

ELSEWHERE = Holder(id="ann@other:7:x", machine="other", boot_id="b2", pid=7, process_started=9)
STEPS = ("stop", "switch", "start")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path / 'quoracy.db'}")
    yield database
    database.close()


def dead() -> Holder:
    """A holder on this boot whose process has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return replace(this_process(), id=f"dead:{process.pid}", pid=process.pid)


def begin(
    db: Database, holder: Holder, *, leased: bool = True, at: datetime | None = None, **more: str
) -> str:
    """An operation on demo, or another cluster, as it looks while it runs."""
    cluster, now = more.get("cluster", "demo"), at or db.now()
    operation = NewOperation(
        cluster=cluster,
        kind=more.get("kind", "etcd-deploy"),
        title=f"change {cluster}",
        holder=holder.id,
        requested_by="ada",
        origin="terminal on desk",
        plan="{}",
        plan_digest="0",
        flow_run_id=more.get("flow_run_id"),
        fence=1 if leased else None,
    )
    if leased:
        take_lease(
            db,
            cluster=cluster,
            operation_id=operation.id,
            holder=holder,
            reason=operation.title,
            now=now,
        )
    start_operation(db, operation, now=now)
    rows = [
        PlannedStep(seq, "demo-1", "demo-1", name, name, "") for seq, name in enumerate(STEPS, 1)
    ]
    plan_steps(db, operation.id, rows)
    return operation.id


def test_nothing_was_left_behind(db: Database) -> None:
    assert reconcile(db) == ()


def test_the_operation_of_a_dead_process_fails_with_what_it_had_begun(db: Database) -> None:
    one = begin(db, dead(), flow_run_id="run-1")
    step_started(db, one, 1, now=db.now())
    step_ended(db, one, 1, state="done", now=db.now())
    step_started(db, one, 2, now=db.now())
    said = (
        "begun and perhaps half done: demo-1: switch; "
        "run `quoracy etcd-deploy demo`, which goes on from what the hosts say, "
        "or `quoracy operation-rollback demo`, which puts it back"
    )
    assert reconcile(db) == (Renumbered("demo", one, "change demo", said, "run-1", True),)
    ended = get_operation(db, one)
    assert (ended.state, ended.outcome) == ("ended", "failed")
    assert ended.error is not None
    assert ended.error.startswith("reconcile broke its lease at ")
    assert ended.error.endswith(f"its process had ended; {said}")
    assert get_lease(db, "demo") is None
    assert [lease.fence for lease in list_leases(db)] == [1]
    assert reconcile(db) == ()


def test_between_two_steps_nothing_is_said_to_be_half_done(db: Database) -> None:
    one = begin(db, dead())
    step_started(db, one, 1, now=db.now())
    step_ended(db, one, 1, state="done", now=db.now())
    (settled,) = reconcile(db)
    assert settled.said.startswith("no step was under way, 1 of 3 were done; run `quoracy etcd")


def test_a_service_is_told_of_with_the_command_for_services(db: Database) -> None:
    one = begin(db, dead(), cluster="service:web", kind="service-redeploy")
    step_started(db, one, 1, now=db.now())
    (settled,) = reconcile(db)
    command = "run `quoracy service redeploy web`, which goes on from what the hosts say"
    assert settled.said.endswith(f"; {command}")


def test_a_live_process_here_and_one_elsewhere_that_beats_are_left_alone(db: Database) -> None:
    here = begin(db, this_process())
    there = begin(db, ELSEWHERE, cluster="other")
    assert reconcile(db) == ()
    assert {get_operation(db, one).state for one in (here, there)} == {"running"}
    assert all(lease.holder for lease in list_leases(db))


def test_a_process_here_that_lives_and_has_long_been_silent_is_left_alone(db: Database) -> None:
    asleep = begin(db, this_process(), at=db.now() - timedelta(hours=8))
    assert reconcile(db) == ()
    assert get_operation(db, asleep).state == "running"
    assert get_lease(db, "demo") is not None


def test_a_process_elsewhere_is_dead_five_minutes_after_its_last_beat(db: Database) -> None:
    begin(db, ELSEWHERE, cluster="other", at=db.now() - timedelta(seconds=290))
    one = begin(db, ELSEWHERE, at=db.now() - timedelta(seconds=301))
    (settled,) = reconcile(db)
    assert (settled.operation_id, settled.lease_freed) == (one, True)
    assert "its last beat was at " in str(get_operation(db, one).error)


def test_a_lease_whose_operation_has_ended_is_freed(db: Database) -> None:
    one = begin(db, dead())
    end_operation(db, one, "done", now=db.now())
    (settled,) = reconcile(db)
    assert settled.said == "no operation was under way any more"
    assert get_operation(db, one).outcome == "done"
    assert get_lease(db, "demo") is None


def test_an_operation_without_a_lease_is_ended_once_it_is_too_old_to_live(db: Database) -> None:
    fresh = begin(db, dead(), leased=False)
    old = begin(db, dead(), leased=False, at=db.now() - timedelta(seconds=61))
    (settled,) = reconcile(db)
    assert (settled.operation_id, settled.lease_freed) == (old, False)
    assert str(get_operation(db, old).error).startswith("its process ended before it did; ")
    assert get_operation(db, fresh).state == "running"


def test_the_newest_operation_of_a_run_that_was_retried(db: Database) -> None:
    begin(db, dead(), flow_run_id="run-1", leased=False, at=db.now() - timedelta(hours=1))
    second = begin(db, dead(), flow_run_id="run-1", leased=False)
    found = operation_of_run(db, "run-1")
    assert found is not None
    assert found.id == second
    assert operation_of_run(db, "run-2") is None
