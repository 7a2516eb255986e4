"""The live view, and the lines instead of it, from a journal as the loop writes it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from quoracy.cli.follow import Followed, Told, following, live_view
from quoracy.cli.screen import Console
from quoracy.db.operations import latest_operation, step_ended, step_started, steps_of
from quoracy.db.session import Database, open_database
from quoracy.home import Home
from tests.cli.cli_journal import LONG, START, TITLE, at, begin, fail_at_the_second_member


@pytest.fixture
def db(home: Home) -> Iterator[Database]:
    db = open_database(home.database_url)
    yield db
    db.close()


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


def test_what_is_on_the_screen_is_not_shown_twice() -> None:
    told = Told()
    told.output("demo-1: npm ERR! no network")
    failed = "demo-1: it failed; it said:\n    npm ERR! no network\n    another line\n  Next: x"
    rest = "demo-1: it failed; it said: what stands above\n    another line\n  Next: x"
    assert told.rest_of(failed) == rest
    told.add(failed)
    assert told.rest_of(failed) == rest.replace("\n    another line", "")
    unlike = "demo-2: npm ERR! no network\n    it says more"
    assert told.rest_of(unlike) == unlike


@pytest.mark.parametrize("terminal", [False, True])
def test_what_a_failed_step_said_is_known_to_be_on_the_screen(db: Database, terminal: bool) -> None:
    console, told = Console(file=io.StringIO(), width=80, force_terminal=terminal), Told()
    said = "demo-1: not healthy\n    the cupboard is bare"
    with following(db, "demo", console=console, told=told):
        operation = begin(db, now=datetime.now(UTC))
        step_started(db, operation, 1, now=at(1))
        step_ended(db, operation, 1, state="failed", now=at(2), detail=said)
    assert isinstance(console.file, io.StringIO)
    assert "the cupboard is bare" in console.file.getvalue()
    assert told.rest_of(said) == "demo-1: not healthy"
