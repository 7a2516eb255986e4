"""`quoracy lease`: what it tells of live, expired, dead and free leases, and which it frees."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from quoracy.db.clusters import forget_cluster
from quoracy.db.holder import Holder, this_process
from quoracy.db.lease import EXPIRES_AFTER, get_lease, release_lease, take_lease
from quoracy.db.operations import (
    NewOperation,
    get_operation,
    history,
    start_operation,
    steps_of,
)
from quoracy.db.session import Database, open_database
from quoracy.home import Home

Call = Callable[..., Any]
KEYS = {
    "cluster", "state", "fence", "holder", "machine", "pid", "operation_id", "reason",
    "taken_at", "heartbeat_at", "expires_at", "requested_by", "origin", "flow_run_id",
}  # fmt: skip
LONG_AGO = 2 * EXPIRES_AFTER


@pytest.fixture
def db(home: Home) -> Iterator[Database]:
    db = open_database(home.database_url)
    yield db
    db.close()


def elsewhere() -> Holder:
    return Holder(id="ann@ops1:7:x", machine="ops1 pid:[1]", boot_id="b", pid=7, process_started=9)


def dead_here() -> Holder:
    process = subprocess.Popen(["true"])
    process.wait()
    return replace(this_process(), id=f"ann@here:{process.pid}", pid=process.pid)


def held(db: Database, holder: Holder, ago: timedelta = timedelta()) -> str:
    """The lease of demo, taken a time ago, and the journal of its operation."""
    at = db.now() - ago
    operation = NewOperation(
        cluster="demo",
        kind="etcd-deploy",
        title="upgrade demo",
        holder=holder.id,
        requested_by="ann",
        origin="prefect on ops1",
        plan="{}",
        plan_digest="0",
        flow_run_id="run-1",
    )
    take_lease(
        db, cluster="demo", operation_id=operation.id, holder=holder, reason="upgrade demo", now=at
    )
    return start_operation(db, operation, now=at)


def test_without_clusters_there_is_nothing_to_show(call: Call) -> None:
    told = call("lease", "show")
    assert (told.exit_code, told.out.startswith("There is no cluster")) == (0, True)
    assert call("lease", "show", "--json").json == []


@pytest.mark.parametrize("verb", [("show",), ("break", "--yes")])
def test_an_unknown_cluster_is_a_usage_error(call: Call, verb: tuple[str, ...]) -> None:
    told = call("lease", *verb, "nope")
    assert (told.exit_code, told.out) == (2, "")
    assert "there is no cluster 'nope'" in told.err


def test_a_cluster_that_nobody_works_on_is_free(call: Call, demo: str) -> None:
    told = call("lease", "show")
    assert (told.exit_code, told.out) == (0, "demo  free\n")
    (row,) = call("lease", "show", demo, "--json").json
    assert row == {**dict.fromkeys(KEYS), "cluster": "demo", "state": "free", "fence": 0}


@pytest.mark.parametrize(
    ("who", "ago", "state"),
    [
        ("elsewhere", timedelta(), "live"),
        ("elsewhere", LONG_AGO, "expired"),
        ("dead", timedelta(), "process gone"),
        ("here", timedelta(), "live"),
    ],
)
def test_show_tells_who_holds_it_why_since_when_and_whether_it_lives(
    call: Call, db: Database, demo: str, who: str, ago: timedelta, state: str
) -> None:
    holder = {"elsewhere": elsewhere, "dead": dead_here, "here": this_process}[who]()
    operation = held(db, holder, ago)
    told = call("lease", "show", demo)
    assert told.exit_code == 0
    assert told.out.splitlines()[0] == f"demo  {state}"
    for text in (
        holder.id,
        f"process {holder.pid} on {holder.machine.split()[0]}",
        "ann, prefect on ops1",
        "run-1",
        f"{operation[:8]}  upgrade demo",
        "it expires at " if state == "live" else "quoracy lease break demo",
        "fence      1",
    ):
        assert text in told.out
    (row,) = call("lease", "show", "--json").json
    assert row.keys() == KEYS
    assert (row["state"], row["operation_id"], row["fence"]) == (state, operation, 1)
    assert (row["pid"], row["machine"]) == (holder.pid, holder.machine.split()[0])
    assert row["taken_at"].endswith("Z")
    assert row["expires_at"].endswith("Z")


@pytest.mark.parametrize("yes", [(), ("--yes",)])
def test_a_live_lease_is_never_broken(
    call: Call, db: Database, demo: str, yes: tuple[str, ...]
) -> None:
    operation = held(db, elsewhere())
    told = call("lease", "break", demo, *yes)
    assert (told.exit_code, told.out) == (3, "")
    for text in (
        "ann@ops1:7:x is alive",
        "upgrade demo, asked for by ann, prefect on ops1",
        "its lease expires at ",
        "cancel the flow run run-1 in the Prefect UI",
        "Ctrl-C where it runs (kill -INT 7 on ops1)",
    ):
        assert text in told.err
    assert get_lease(db, demo) is not None
    assert get_operation(db, operation).state == "running"


@pytest.mark.parametrize("ago", [timedelta(), LONG_AGO])
def test_a_dead_one_is_freed_and_its_operation_ended_as_failed(
    call: Call, db: Database, demo: str, ago: timedelta
) -> None:
    operation = held(db, elsewhere() if ago else dead_here(), ago)
    told = call("lease", "break", demo, "--yes")
    assert told.exit_code == 0
    assert f"operation {operation[:8]} is ended as failed" in told.out
    assert "the next operation takes a dead holder's lease over by itself" in told.out
    ended = get_operation(db, operation)
    assert ended.outcome == "failed"
    assert "broke its lease at " in str(ended.error)
    assert ("its process had ended" in str(ended.error)) == (not ago)
    assert call("lease", "show", demo).out == "demo  free\n  fence      1\n"
    again = call("lease", "break", demo)
    assert (again.exit_code, "nobody holds its lease" in again.out) == (0, True)


def test_break_as_json_tells_how_the_lease_stands_then(call: Call, db: Database, demo: str) -> None:
    held(db, dead_here())
    row = call("lease", "break", demo, "--yes", "--json").json
    assert (row["state"], row["holder"], row["fence"]) == ("free", None, 1)
    assert call("lease", "break", demo, "--json").json == row


def test_where_nobody_can_be_asked_it_wants_yes(call: Call, db: Database, demo: str) -> None:
    held(db, dead_here())
    told = call("lease", "break", demo)
    assert (told.exit_code, told.out) == (2, "")
    assert "run it again with --yes" in told.err
    assert get_lease(db, demo) is not None


@pytest.mark.parametrize(("answer", "freed"), [("y\n", True), ("n\n", False)])
def test_on_a_terminal_it_asks(
    db: Database, home: Home, demo: str, answer: str, freed: bool
) -> None:
    held(db, dead_here())
    mine, theirs = pty.openpty()
    os.write(mine, answer.encode())
    done = subprocess.run(
        (str(Path(sys.executable).with_name("quoracy")), "lease", "break", demo),
        stdin=theirs,
        capture_output=True,
        text=True,
        env={**os.environ, "QUORACY_HOME": str(home.path)},
    )
    os.close(mine)
    os.close(theirs)
    assert "It need not be broken" in done.stdout
    assert "Free the lease of ann@here" in done.stdout
    assert (done.returncode == 0, get_lease(db, demo) is None) == (freed, freed)


def test_a_cluster_that_was_forgotten_is_still_shown_when_it_has_a_number(
    call: Call, db: Database, demo: str
) -> None:
    held(db, elsewhere())
    assert release_lease(db, demo, elsewhere(), 1)
    forget_cluster(db, demo, now=db.now())
    assert call("lease", "show", demo).out == "demo  free\n  fence      1\n"


def test_renumbering_needs_a_host_that_is_recorded(call: Call, demo: str) -> None:
    told = call("lease", "renumber", demo, "nope", "--yes")
    assert told.exit_code == 2
    assert "demo: it has no host 'nope'" in told.err
    assert "name one of demo-1" in told.err
    for unknown in ("nope", "service:nope"):
        assert call("lease", "renumber", unknown, "one", "--yes").exit_code == 2


def test_a_number_is_not_written_unasked_nor_under_a_live_lease(
    call: Call, db: Database, demo: str
) -> None:
    told = call("lease", "renumber", demo, "demo-1")
    assert told.exit_code == 2
    assert "run it again with --yes, when no other controller works on demo" in told.err
    held(db, elsewhere())
    told = call("lease", "renumber", demo, "demo-1", "--yes")
    assert told.exit_code == 3
    assert "ann@ops1:7:x works on it" in told.err
    assert len(history(db)) == 1


def test_what_was_not_renumbered_stands_in_the_history(call: Call, db: Database, demo: str) -> None:
    """Its hosts do not answer."""
    assert call("lease", "renumber", demo, "demo-1", "--yes").exit_code == 1
    (operation,) = history(db)
    assert (operation.kind, operation.outcome, operation.fence) == (
        "lease-renumber",
        "failed",
        None,
    )
    assert operation.title == "write the number that demo-1 has noted anew"
    (step,) = steps_of(db, operation.id)
    assert (step.host, step.name, step.state) == ("demo-1", "renumber", "failed")
    assert "write the number" in call("history", "--operation", operation.id[:8]).out
