"""The question after the first member, at a real server: approved, declined, and left alone."""

from __future__ import annotations

import contextvars
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas import State
from prefect.runtime import flow_run
from prefect.states import Cancelling, Crashed

from quoracy.operation.approval import Approval
from quoracy.operation.lease import Report
from quoracy.operation.plan import Plan
from tasks.approval import approve_in_ui
from tasks.run import settled
from tests.prefect_harness import artifacts, ask, id_of, logs_of

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]
T = TypeVar("T")
APPROVAL = Approval(
    cluster="demo",
    title="upgrade demo to 3.5.30",
    done="demo-2",
    figures="| | |\n|---|---|\n| etcd | 3.5.30 |",
    left=("demo-3", "demo-1"),
)


def asking(wait: timedelta, runs: list[str]) -> State[Any]:
    """A run that asks, and ends as an operation does; its ID is put into the list."""

    def run() -> Report:
        runs.append(flow_run.id)
        approve_in_ui(APPROVAL, wait=wait)
        return Report("0123abcd", "done", Plan("etcd-deploy", "demo", "change", "upgrade demo"))

    @flow(name="asking", persist_result=False)
    def body() -> State[Any]:
        return settled("demo", run)

    state: State[Any] = body(return_state=True)
    return state


def answer(runs: list[str], *answers: dict[str, Any]) -> list[str]:
    """Submit the dialog of the run once it asks; what the API says to each answer."""
    deadline = time.monotonic() + 60
    while not runs or not ask(
        f"/flow_runs/{runs[0]}/input/filter", prefix="paused-approve", limit=9
    ):
        assert time.monotonic() < deadline, "nothing was asked"
        time.sleep(0.1)
    said = []
    with get_client(sync_client=True) as client:
        for one in answers:
            path: Any = f"/flow_runs/{runs[0]}/resume"
            said.append(client.request("POST", path, json={"run_input": one}).json()["status"])
    return said


def ask_and_answer(*answers: dict[str, Any]) -> tuple[State[Any], list[str]]:
    """How a run ends that is answered from beside it, and what the API said to the answers."""
    return ask_and(lambda runs: answer(runs, *answers))


def ask_and(meanwhile: Callable[[list[str]], T]) -> tuple[State[Any], T]:
    """How a run ends beside which something is done once it asks, and what that has returned."""
    runs: list[str] = []
    with ThreadPoolExecutor(1) as beside:
        # In this context, which says where the server is.
        said = beside.submit(contextvars.copy_context().run, meanwhile, runs)
        state = asking(timedelta(minutes=1), runs)
        return state, said.result()


def test_who_approves_is_in_the_log_and_the_run_goes_on() -> None:
    state, said = ask_and_answer(
        {"approver": "ada"}, {"approve": "surely"}, {"approve": True, "approver": "ada"}
    )
    assert said == ["REJECT", "REJECT", "ACCEPT"]
    assert state.name == "Done"
    lines = logs_of(id_of(state), until="Finished in state")
    assert "approved by ada; next: demo-3, demo-1" in lines


def test_who_declines_stops_it_between_two_members() -> None:
    state, _ = ask_and_answer({"approve": False})
    assert (state.name, state.is_failed()) == ("NotApproved", True)
    assert str(state.message).startswith(
        "demo: declined by someone who gave no name; left as they were: demo-3, demo-1\n  Next: "
    )


@pytest.mark.parametrize("end", [Cancelling, Crashed])
def test_a_run_that_is_ended_while_it_asks_stops_and_is_not_called_back(end: Any) -> None:
    def end_it(runs: list[str]) -> UUID:
        answer(runs)
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(UUID(runs[0]), end(), force=True)
        return UUID(runs[0])

    state, run_id = ask_and(end_it)
    # Prefect itself keeps a cancelled run as Cancelling until its process is gone.
    assert state.name in ("Cancelling", "NotApproved")
    (result,) = artifacts(flow_run_id=[str(run_id)]).values()
    assert f"demo: the run is {end().name}; left as they were: demo-3, demo-1" in result
    with get_client(sync_client=True) as client:
        names = [one.name for one in client.read_flow_run_states(run_id)]
    assert "Running" not in names[names.index(end().name) :]


def test_nobody_answers_in_time() -> None:
    state = asking(timedelta(seconds=2), [])
    assert (state.name, state.is_failed()) == ("NotApproved", True)
    assert "demo: nobody answered within 0:00:02" in str(state.message)
