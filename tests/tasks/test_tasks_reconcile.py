"""Runs of dead processes are ended at a real server, and others are left alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas import FlowRun, State
from prefect.states import Cancelling, Paused, Running, Suspended

from quoracy.db.operations import NewOperation, end_operation, start_operation
from quoracy.db.session import Database, open_database
from tasks.reconcile import SettledRun, settle_runs
from tasks.run import TAG
from tests.prefect_harness import ask

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]
FLOW = "settle-me"
AT_ONCE = timedelta(0)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path / 'quoracy.db'}")
    settle_runs(database, [FLOW])  # other tests have left something at the server
    yield database
    database.close()


@flow(name=FLOW)
def settle_me() -> None:
    """Never runs: only its runs are made."""


def run_in(state: State[Any], *, tags: tuple[str, ...] = (TAG,)) -> FlowRun:
    with get_client(sync_client=True) as client:
        return client.create_flow_run(settle_me, state=state, tags=tags)


def operation(db: Database, run: FlowRun, *, ended: bool) -> None:
    """An operation of the run, as its journal has it."""
    new = NewOperation(
        cluster="demo",
        kind="etcd-deploy",
        title="change demo",
        holder="ada@desk:1:x",
        requested_by="ada",
        origin="prefect on desk",
        plan="{}",
        plan_digest="0",
        flow_run_id=str(run.id),
    )
    start_operation(db, new, now=db.now())
    if ended:
        end_operation(db, new.id, "done", now=db.now())


def state_of(run: FlowRun) -> str:
    with get_client(sync_client=True) as client:
        return str(client.read_flow_run(run.id).state_name)


def settle(db: Database, *, dead: tuple[str, ...] = (), grace: timedelta = AT_ONCE) -> set[str]:
    """IDs cannot be asked for; states of the runs that were settled."""
    return {run.state for run in settle_runs(db, [FLOW], dead=dead, grace=grace)}


def test_a_run_whose_operation_has_ended_is_crashed(db: Database) -> None:
    run = run_in(Running())
    operation(db, run, ended=True)
    assert settle(db, grace=timedelta(minutes=3)) == set()
    assert state_of(run) == "Running"
    assert settle_runs(db, [FLOW], grace=AT_ONCE) == (SettledRun(run.name, "Crashed"),)
    assert state_of(run) == "Crashed"
    assert settle(db) == set()


def test_a_run_that_is_known_to_be_dead_needs_no_grace(db: Database) -> None:
    run = run_in(Running())
    operation(db, run, ended=True)
    assert settle(db, dead=(str(run.id),), grace=timedelta(minutes=3)) == {"Crashed"}


def test_a_run_with_a_live_operation_or_none_yet_is_left_alone(db: Database) -> None:
    live, young = run_in(Running()), run_in(Running())
    operation(db, live, ended=False)
    assert settle(db) == set()
    assert (state_of(live), state_of(young)) == ("Running", "Running")
    assert settle(db, dead=(str(live.id), str(young.id))) == set()


def test_a_run_that_was_retried_after_its_operation_ended_is_left_alone(db: Database) -> None:
    run = run_in(Running())
    operation(db, run, ended=True)
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run.id, Running(), force=True)
    assert settle(db) == set()
    # What is dead is the attempt before.
    assert settle(db, dead=(str(run.id),)) == set()
    assert state_of(run) == "Running"


@pytest.mark.parametrize(("state", "left"), [(Suspended(), True), (Paused(), False)])
def test_a_suspended_run_needs_no_process(db: Database, state: State[Any], left: bool) -> None:
    run = run_in(Running())
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run.id, state, force=True)
    operation(db, run, ended=True)
    assert settle(db, dead=(str(run.id),)) == (set() if left else {"Crashed"})


def test_runs_without_our_tag_are_left_alone(db: Database) -> None:
    run = run_in(Running(), tags=("theirs",))
    operation(db, run, ended=True)
    with get_client(sync_client=True) as client:
        member = client.create_flow_run(flow(name="host")(lambda: None), state=Running())
    assert settle(db) == set()
    assert (state_of(run), state_of(member)) == ("Running", "Running")


def test_a_member_whose_root_run_was_deleted_is_crashed(db: Database) -> None:
    with get_client(sync_client=True) as client:
        member = client.create_flow_run(
            flow(name="host")(lambda: None), state=Running(), tags=[TAG]
        )
    assert settle(db) == {"Crashed"}
    assert state_of(member) == "Crashed"


def test_a_cancelled_run_that_nobody_ends_is_cancelled(db: Database) -> None:
    run = run_in(Cancelling())
    assert settle(db, grace=timedelta(minutes=3)) == set()
    assert settle(db) == {"Cancelled"}
    assert state_of(run) == "Cancelled"


def test_runs_of_other_flows_are_left_alone(db: Database) -> None:
    run = run_in(Running())
    operation(db, run, ended=True)
    assert settle_runs(db, ["another"], grace=AT_ONCE) == ()
    assert settle(db) == {"Crashed"}


def test_what_a_crashed_run_has_left_is_crashed(db: Database) -> None:
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(settle_me, state=Running(), tags=[TAG])
    operation(db, run, ended=True)
    with get_client(sync_client=True) as client:
        task = client.request(
            "POST",
            "/task_runs/",
            json={
                "name": "demo-1: stop",
                "flow_run_id": str(run.id),
                "task_key": "stop",
                "dynamic_key": "0",
                "state": {"type": "RUNNING"},
            },
        ).json()
        member = client.create_flow_run(
            flow(name="host")(lambda: None),
            state=Running(),
            parent_task_run_id=task["id"],
            tags=[TAG],
        )
    found = settle_runs(db, [FLOW], dead=[str(run.id)], grace=AT_ONCE)
    # The task run that stands for the member's subflow follows it.
    assert [one.state for one in found] == ["Crashed"] * 2
    assert (state_of(run), state_of(member)) == ("Crashed", "Crashed")
    (left,) = ask("/task_runs/filter", task_runs={"id": {"any_": [task["id"]]}})
    assert left["state_type"] == "CRASHED"
