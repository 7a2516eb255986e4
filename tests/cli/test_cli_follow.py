"""The live view, the lines instead of it, and the history, from a journal as the loop writes it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from quoracy.cli.follow import Followed, following, live_view
from quoracy.db.operations import (
    NewOperation,
    PlannedStep,
    end_operation,
    latest_operation,
    plan_steps,
    start_operation,
    step_ended,
    step_started,
    steps_of,
)
from quoracy.db.session import Database, open_database
from quoracy.home import Home

Call = Callable[..., Any]
START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
TITLE = "upgrade demo from etcd 3.4.23 to 3.5.16, 3 members one by one"
LONG = "start failed with exit code 1: Job for etcd-demo.service failed because of a timeout"


@pytest.fixture
def db(home: Home) -> Iterator[Database]:
    db = open_database(home.database_url)
    yield db
    db.close()


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def begin(db: Database, now: datetime = START) -> str:
    """An operation of three members: backup, a group over all hosts, and one group per member."""
    operation = NewOperation(
        cluster="demo",
        kind="etcd-deploy",
        title=TITLE,
        holder="someone",
        requested_by="ada",
        origin="terminal, prefect on vm",
        plan=json.dumps({}),
        plan_digest="0123",
    )
    start_operation(db, operation, now=now)
    steps = [("backup", "demo-2", "take a verified snapshot")]
    steps += [("prepare hosts", f"demo-{n}", "install etcd 3.5.16") for n in (1, 2, 3)]
    for member in ("demo-2", "demo-3", "demo-1"):
        steps += [(member, member, title) for title in ("stop", "start", "wait until healthy")]
    rows = [
        PlannedStep(seq, group, host, title.replace(" ", "-"), title, "")
        for seq, (group, host, title) in enumerate(steps, 1)
    ]
    plan_steps(db, operation.id, rows)
    return operation.id


def fail_at_the_second_member(db: Database, operation: str) -> None:
    """Seven steps are done; demo-3 stops and does not start; two undo steps put it back."""
    for seq in range(1, 9):
        step_started(db, operation, seq, now=at(seq))
        step_ended(db, operation, seq, state="done", now=at(seq + 0.5), detail="as wanted\nmore")
    step_started(db, operation, 9, now=at(9))
    step_ended(db, operation, 9, state="failed", now=at(10), detail=f"demo-3: {LONG}")
    undo = [PlannedStep(14, "demo-3", "demo-3", "start-member", "start the old one", "put back")]
    plan_steps(db, operation, undo)
    step_started(db, operation, 14, now=at(11))
    step_ended(db, operation, 14, state="undone", now=at(12))


def shown(db: Database, now: datetime | None, width: int = 80) -> list[str]:
    operation = latest_operation(db, "demo", START)
    steps = steps_of(db, operation.id) if operation else ()
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(live_view(Followed(operation, steps, START), now=now))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_before_the_journal_begins_it_says_what_it_waits_for(db: Database) -> None:
    assert shown(db, at(3)) == ["▸ starting, looking at the hosts … 3 s"]
    assert shown(db, None) == []


def test_one_line_per_member_with_progress_step_and_elapsed(db: Database) -> None:
    operation = begin(db)
    for seq in range(1, 5):
        step_started(db, operation, seq, now=at(seq))
        step_ended(db, operation, seq, state="done", now=at(seq + 0.5))
    step_started(db, operation, 5, now=at(6))
    title, backup, *members = shown(db, at(8))
    assert title == TITLE
    assert backup.startswith("✓ backup")
    assert [line.split()[:2] for line in members] == [
        ["·", "demo-1"],
        ["▸", "demo-2"],
        ["·", "demo-3"],
    ]
    assert members[1].split()[-4:] == ["1/4", "2.5", "s", "stop"]
    assert members[2].split()[-2:] == ["s", "stop"]
    assert all(len(line) <= 80 for line in (title, backup, *members))


def test_between_steps_it_says_that_it_looks_at_the_hosts(db: Database) -> None:
    operation = begin(db)
    step_started(db, operation, 1, now=at(1))
    step_ended(db, operation, 1, state="done", now=at(2))
    assert shown(db, at(6))[-1] == "▸ looking at the hosts … 4 s"


def test_a_failure_says_what_failed_where_and_what_was_put_back(db: Database) -> None:
    fail_at_the_second_member(db, begin(db))
    lines = shown(db, None, width=120)
    member = next(line for line in lines if line.startswith("↺ demo-3 "))
    assert "2/4" in member  # of what was planned; what puts back is told below
    assert member.endswith("start")
    assert lines[-3:] == [
        "✗ demo-3: start 1.0 s",
        f"  {LONG}",
        "↺ demo-3: put back: start the old one 1.0 s",
    ]


@pytest.mark.parametrize("as_json", [False, True])
def test_without_a_terminal_each_step_is_a_line_when_it_ends(db: Database, as_json: bool) -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=False)
    with following(db, "demo", console=console):
        fail_at_the_second_member(db, begin(db, now=datetime.now(UTC)))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert lines[0] == "✓ demo-2: take a verified snapshot 0.5 s  as wanted"
    assert len(lines) == 8 + 2 + 1
    assert lines[-1] == "↺ demo-3: put back: start the old one 1.0 s"


@pytest.mark.parametrize("width", [80, 120])
def test_history_fits_and_wraps_no_id(
    call: Call, db: Database, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    operation = begin(db)
    end_operation(db, operation, "rollback_failed", now=at(20), error="it is bad")
    outcome = call("history")
    assert outcome.widest <= width
    lines = outcome.out.splitlines()
    assert len(lines) <= 4
    assert lines[1].split()[:3] == [operation[:8], "2026-11-21", "12:00"]
    assert "rollback failed" in lines[1]


def test_history_of_one_operation_tells_who_when_and_each_step(call: Call, db: Database) -> None:
    operation = begin(db)
    fail_at_the_second_member(db, operation)
    end_operation(db, operation, "rolled_back", now=at(20), error="demo-3: it did not start")
    told = call("history", "--operation", operation[:8])
    assert told.exit_code == 0
    for text in (
        TITLE,
        "rolled back, 2026-11-21 12:00:00 to 12:00:20 UTC",
        "by ada, terminal, prefect on vm",
        f"operation {operation}",
        "✓ demo-2: stop 0.5 s",
        "✗ demo-3: start 1.0 s",
        "· demo-1: stop (not taken)",
        "↺ demo-3: put back: start the old one 1.0 s",
        "demo-3: it did not start",
    ):
        assert text in told.out
    (as_json,) = call("history", "--operation", operation, "--json").json
    assert (as_json["outcome"], len(as_json["steps"])) == ("rolled_back", 14)


def test_history_of_an_operation_that_is_none(call: Call) -> None:
    outcome = call("history", "--operation", "ffff")
    assert outcome.exit_code == 2
    assert "quoracy history" in outcome.err
