"""`quoracy history`: the table, the whole story of one operation, and the export for pipelines."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from quoracy.cli.story import _IN_WORDS
from quoracy.db.audit import FORMAT
from quoracy.db.holder import Holder, this_process
from quoracy.db.lease import release_lease, take_lease
from quoracy.db.operations import (
    NewOperation,
    end_operation,
    start_operation,
    step_ended,
    step_started,
)
from quoracy.db.session import Database, open_database
from quoracy.db.snapshots import NewSnapshot, record_snapshot
from quoracy.home import Home
from quoracy.operation.plan import Change, Plan
from quoracy.operation.verdict import failed, passed, unknown, warned
from tests.cli.cli_journal import LONG, START, TITLE, at, begin, fail_at_the_second_member

Call = Callable[..., Any]
PAGE = Path(__file__).parents[2] / "docs" / "operations" / "history.md"
PLAN = Plan(
    "etcd-deploy",
    "demo",
    "change",
    TITLE,
    verdicts=(
        passed("VersionStepAllowed", "3.4.23 may go to 3.5.16", where="demo"),
        warned("CertificateExpiresSoon", "it expires in 20 days", where="demo-2", next_step="turn"),
    ),
    changes=(
        Change("demo-2", "version", "3.4.23", "3.5.16"),
        Change("demo-3", "unit", "", "new text"),
    ),
).as_dict()


@pytest.fixture
def db(home: Home) -> Iterator[Database]:
    db = open_database(home.database_url)
    yield db
    db.close()


def lines_of(call: Call, operation: str) -> list[str]:
    told = call("history", "--operation", operation[:8])
    assert (told.exit_code, told.err) == (0, "")
    return [line.rstrip() for line in told.out.splitlines()]


def section(lines: list[str], heading: str) -> list[str]:
    """The lines below a heading."""
    below = lines[lines.index(heading) + 1 :]
    ends = [number for number, line in enumerate(below) if line and not line.startswith(" ")]
    return below[: ends[0]] if ends else below


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_and_wraps_no_id(
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


def test_one_operation_tells_who_from_where_when_and_how_it_ended(call: Call, db: Database) -> None:
    operation = begin(db, plan=PLAN, fence=7, flow_run_id="run-1")
    fail_at_the_second_member(db, operation)
    end_operation(
        db, operation, "rolled_back", now=at(20), error="demo-3: it is not back\n  Next: x"
    )
    lines = lines_of(call, operation)
    assert lines[0] == TITLE
    assert lines[1:9] == [
        "  outcome   rolled back: a step failed, and what it belonged to was put back",
        "  when      2026-11-21 12:00:00 to 12:00:20 (20.0 s) UTC",
        "  who       ada, terminal, prefect on vm",
        "  process   someone, fence 7",
        f"  operation {operation}, etcd-deploy of demo",
        "  flow run  run-1",
        "  plan      0123",
        "What differed",
    ]
    assert lines[-3:] == ["Why it ended so", "demo-3: it is not back", "  Next: x"]


def test_it_tells_what_differed_and_each_check_with_its_reason(call: Call, db: Database) -> None:
    lines = lines_of(call, begin(db, plan=PLAN))
    assert section(lines, "What differed") == [
        "  demo-2  version: 3.4.23 -> 3.5.16",
        "  demo-3  unit: new text",
    ]
    assert section(lines, "Checks") == [
        "  PASS    demo: 3.4.23 may go to 3.5.16 [VersionStepAllowed]",
        "  WARN    demo-2: it expires in 20 days [CertificateExpiresSoon]",
        "          next: turn",
    ]


def test_it_tells_each_step_with_its_start_and_what_was_put_back(call: Call, db: Database) -> None:
    operation = begin(db)
    fail_at_the_second_member(db, operation)
    end_operation(db, operation, "rolled_back", now=at(20))
    steps = section(lines_of(call, operation), "Steps")
    assert steps[:2] == [
        "  12:00:01 ✓ demo-2: take a verified snapshot 0.5 s  as wanted",
        "             more",
    ]
    assert steps[-7:] == [
        "  12:00:09 ✗ demo-3: start 1.0 s",
        f"  {LONG}",
        "           · demo-3: wait until healthy (not taken)",
        "           · demo-1: stop (not taken)",
        "           · demo-1: start (not taken)",
        "           · demo-1: wait until healthy (not taken)",
        "  12:00:11 ↺ demo-3: put back: start the old one 1.0 s",
    ]


def test_a_rollback_that_failed_tells_which_step_did(call: Call, db: Database) -> None:
    operation = begin(db)
    fail_at_the_second_member(db, operation)
    step_ended(db, operation, 14, state="undo_failed", now=at(12), detail="it is unreachable")
    end_operation(db, operation, "rollback_failed", now=at(20), error="look there")
    lines = lines_of(call, operation)
    assert lines[1].startswith("  outcome   rollback failed: ")
    assert section(lines, "Steps")[-2:] == [
        "  12:00:11 ✗ demo-3: put back: start the old one 1.0 s",
        "  it is unreachable",
    ]


def test_the_backup_that_was_taken_is_told(call: Call, db: Database) -> None:
    operation = begin(db)
    record_snapshot(
        db,
        NewSnapshot(
            cluster="demo",
            cluster_id="c1",
            revision=42,
            size_bytes=2048,
            sha256="abc",
            etcd_version="3.4.23",
            location="s3://bucket/demo/1.db",
            member="demo-2",
            taken_at=at(1),
            operation_id=operation,
        ),
    )
    assert section(lines_of(call, operation), "Backups") == [
        "  12:00:01 from demo-2: revision 42, 2048 bytes, etcd 3.4.23",
        "           s3://bucket/demo/1.db",
        "           sha256 abc",
    ]


@pytest.mark.parametrize("outcome", sorted(_IN_WORDS.keys() - {"running", "interrupted"}))
def test_outcomes_are_told_apart_in_words(call: Call, db: Database, outcome: Any) -> None:
    operation = begin(db)
    end_operation(db, operation, outcome, now=at(1))
    assert lines_of(call, operation)[1] == f"  outcome   {_IN_WORDS[outcome]}"
    assert len(set(_IN_WORDS.values())) == len(_IN_WORDS)
    assert outcome.replace("_", " ") in call("history").out


def test_a_refusal_between_two_members_does_not_say_that_nothing_was_changed(
    call: Call, db: Database
) -> None:
    operation = begin(db)
    step_started(db, operation, 1, now=at(1))
    step_ended(db, operation, 1, state="done", now=at(2))
    end_operation(db, operation, "refused", now=at(3), error="a member is down")
    assert lines_of(call, operation)[1] == (
        "  outcome   refused by a check after 1 step(s); nothing is half done"
    )


def test_a_plan_that_was_not_applied_is_told_with_its_steps(call: Call, db: Database) -> None:
    stops = (failed("QuorumLost", "too few"), unknown("Silent", "no answer", where="demo-1"))
    step = {"group": "demo-1", "host": "demo-1", "name": "stop-member", "title": "stop it"}
    plan = Plan("etcd-deploy", "demo", "change", "t", verdicts=stops).as_dict() | {"steps": [step]}
    operation = NewOperation(
        cluster="demo",
        kind="etcd-deploy",
        title="t",
        holder="h",
        requested_by="ada",
        origin="terminal",
        plan=json.dumps(plan),
        plan_digest="0",
    )
    start_operation(db, operation, now=START)
    end_operation(db, operation.id, "refused", now=at(1))
    lines = lines_of(call, operation.id)
    assert "  process   h, took no lease" in lines
    assert section(lines, "Checks") == [
        "  FAIL    too few [QuorumLost]",
        "  UNKNOWN demo-1: no answer [Silent]",
    ]
    assert section(lines, "Steps") == ["  · demo-1: stop it"]


@pytest.mark.parametrize("lives", [True, False])
def test_an_operation_whose_process_ended_is_not_shown_as_running(
    call: Call, db: Database, lives: bool
) -> None:
    now, holder = db.now(), this_process()
    if not lives:
        holder = Holder("dead", holder.machine, holder.boot_id, holder.pid, 1)
    operation = begin(db, now=now, fence=1)
    take_lease(db, cluster="demo", operation_id=operation, holder=holder, reason="r", now=now)
    step_started(db, operation, 1, now=now)
    lines = lines_of(call, operation)
    word = "running" if lives else "interrupted"
    assert lines[1] == f"  outcome   {_IN_WORDS[word]}"
    assert any(line.startswith("  last beat ") for line in lines) != lives
    first, second = section(lines, "Steps")[:2]
    assert first.endswith("(under way)" if lives else "(cut off: its process ended meanwhile)")
    assert second.endswith("(not yet)" if lives else "(not taken)")
    assert word in call("history", "demo").out
    (record,) = call("history", "--json").json
    assert (record["state"], record["interrupted"]) == ("running", not lives)


def test_a_lease_that_was_given_back_does_not_hide_that_the_end_is_missing(
    call: Call, db: Database
) -> None:
    now, here = db.now(), this_process()
    operation = begin(db, now=now - timedelta(seconds=1), fence=1)
    fence = take_lease(db, cluster="demo", operation_id=operation, holder=here, reason="r", now=now)
    release_lease(db, "demo", here, fence)
    assert lines_of(call, operation)[1].startswith("  outcome   interrupted: ")


def test_an_operation_that_is_none_is_a_usage_error(call: Call) -> None:
    outcome = call("history", "--operation", "ffff")
    assert outcome.exit_code == 2
    assert "quoracy history" in outcome.err


def test_the_export_is_one_line_per_operation_oldest_first_without_a_limit(
    call: Call, db: Database
) -> None:
    ids = [begin(db, now=at(number // 2)) for number in range(230)]
    end_operation(db, ids[0], "done", now=at(9))
    told = call("history", "--export")
    assert (told.exit_code, told.err) == (0, "")
    records = [json.loads(line) for line in told.out.splitlines()]
    assert {record["id"] for record in records} == set(ids)
    assert len(records) == len(ids)
    order = [(record["started_at"], record["id"]) for record in records]
    assert order == sorted(order)
    assert all(len(record["steps"]) == 13 for record in records)
    assert len(call("history", "--json").json) == 20


def test_the_export_can_be_of_one_cluster(call: Call, db: Database) -> None:
    begin(db)
    assert call("history", "demo", "--export").out.count("\n") == 1
    unknown = call("history", "other", "--export")
    assert (unknown.exit_code, unknown.out) == (2, "")
    assert "there is no cluster 'other'" in unknown.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--export", "--limit", "3"),
        ("demo", "--operation", "1"),
        ("--operation", "1", "--limit", "3"),
    ],
)
def test_options_that_contradict_each_other(call: Call, arguments: tuple[str, ...]) -> None:
    outcome = call("history", *arguments)
    assert (outcome.exit_code, outcome.out) == (2, "")
    assert "Next: " in outcome.err


def test_export_and_operation_do_not_go_together(call: Call, db: Database) -> None:
    outcome = call("history", "--export", "--operation", begin(db))
    assert (outcome.exit_code, outcome.out) == (2, "")
    assert "--operation ID --json" in outcome.err


def test_the_keys_of_a_record_are_those_of_the_page(call: Call, db: Database) -> None:
    operation = begin(db, plan=PLAN)
    snapshot = dict.fromkeys(
        ("cluster", "cluster_id", "sha256", "etcd_version", "location", "member"), "x"
    )
    record_snapshot(
        db,
        NewSnapshot(**snapshot, revision=1, size_bytes=1, taken_at=START, operation_id=operation),
    )
    record = json.loads(call("history", "--export").out)
    keys = {*record, *(f"steps[].{key}" for key in record["steps"][0])}
    keys |= {f"plan.{key}" for key in record["plan"]}
    keys |= {f"snapshots[].{key}" for key in record["snapshots"][0]}
    documented = re.findall(r"^\| `([a-z0-9_.\[\]]+)` \|", PAGE.read_text(), re.M)
    assert sorted(documented) == sorted(keys)
    assert record["format"] == FORMAT
    (same,) = call("history", "--operation", operation, "--json").json
    assert same == record


def test_an_operation_without_an_id_is_a_usage_error(call: Call) -> None:
    """As from an unset variable in a script: all operations are not what was asked for."""
    assert call("history", "--operation", "").exit_code == 2
