"""Rows of the journal that hold markup and control sequences, as earlier versions took them in, are shown as text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlmodel import select

from quoracy.db.models import Operation, StepRecord
from quoracy.db.operations import end_operation, step_ended, step_started
from quoracy.db.session import Database, open_database
from quoracy.home import Home
from tests.cli.cli_journal import at, begin

EVIL = "[/x] [red]a[/] :bomb: \x1b[31mb\x1b]0;t\x07 \x9b2Jc \u202ed \udc80e"
SHOWN = "[/x] [red]a[/] :bomb: [31mb]0;t 2Jc d e"
Call = Callable[..., Any]


@pytest.fixture
def db(home: Home) -> Iterator[Database]:
    db = open_database(home.database_url)
    yield db
    db.close()


def an_evil_row(db: Database) -> str:
    """Not by the functions of today, which clean what they are given."""
    operation = begin(db)
    step_started(db, operation, 1, now=at(1))
    step_ended(db, operation, 1, state="failed", now=at(2))
    end_operation(db, operation, "failed", now=at(3))
    evil = EVIL.replace("\udc80", "")  # SQLite takes none
    plan = (
        '{"verdicts": [{"status": "fail", "where": "w", "reason": "r", "message": "[/x] \\u001b[2J",'
        ' "next_step": "[/x]"}], "changes": [{"host": "[/x]", "what": "\\u001b[2J", "before": "[/x]",'
        ' "after": ""}]}'
    )
    with db.session() as session:
        row = session.get(Operation, operation)
        assert row is not None
        row.title = row.requested_by = row.origin = row.holder = row.error = evil
        row.plan = plan
        step = session.exec(select(StepRecord).where(StepRecord.seq == 1)).one()
        step.title = step.detail = evil
    return operation


def assert_harmless(told: Any) -> None:
    assert (told.exit_code, told.err) == (0, "")
    assert "[/x]" in told.out
    assert all(char == "\n" or char.isprintable() for char in told.out), repr(told.out)


def test_history_shows_them_as_text(
    call: Call, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    operation = an_evil_row(db)
    assert_harmless(call("history"))
    assert SHOWN in call("history").out
    assert_harmless(call("history", "--operation", operation))
