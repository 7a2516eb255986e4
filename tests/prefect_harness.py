"""One Prefect server for the whole session, started when the first test needs it (pytest plugin)."""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

if TYPE_CHECKING:
    from prefect.client.schemas import FlowRun, State

_LOGIN = f"tests:{secrets.token_urlsafe(16)}"
# Prefect reads its settings when it is imported, which test modules do at their top.
_HOME = tempfile.TemporaryDirectory(prefix="quoracy-prefect-", ignore_cleanup_errors=True)
os.environ.update(
    PREFECT_HOME=_HOME.name,
    DO_NOT_TRACK="1",
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    # As `quoracy up` sets them: a client of ours that forgets the login is not let in.
    PREFECT_SERVER_API_AUTH_STRING=_LOGIN,
    PREFECT_API_AUTH_STRING=_LOGIN,
    PREFECT_SERVER_CSRF_PROTECTION_ENABLED="true",
)
os.environ.pop("PREFECT_API_URL", None)


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """Flows of this process run against a server of their own; without heartbeats (1 s per run)."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    with (
        prefect_test_harness(server_startup_timeout=120),
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
    ):
        yield


def ask(path: Any, **body: Any) -> list[dict[str, Any]]:
    """The answer of one of the API's filters.

    Not by the client's read_logs, read_task_runs and so on: they send nulls for what is not given,
    and the server refuses those (Prefect 3.8.8 with FastAPI 0.153).
    """
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        answer: list[dict[str, Any]] = client.request("POST", path, json=body).json()
    return answer


def id_of(state: State[Any]) -> UUID:
    """ID of the run that ended so."""
    found = state.state_details.flow_run_id
    assert found is not None
    return found


def run_of(state: State[Any]) -> FlowRun:
    """The run that ended so, as the server knows it."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return client.read_flow_run(id_of(state))


def logs_of(flow_run_id: UUID, *, until: str) -> list[str]:
    """The run's log lines at the API, waited for until one holds a text: they arrive in batches."""
    wanted = {"flow_run_id": {"any_": [str(flow_run_id)]}}
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        lines = [log["message"] for log in ask("/logs/filter", logs=wanted)]
        if any(until in line for line in lines):
            return lines
        time.sleep(0.1)
    raise AssertionError(f"no log line with {until!r} arrived")


def task_runs_of(flow_run_id: UUID, count: int) -> list[dict[str, Any]]:
    """The run's task runs, waited for until there are so many and all have ended."""
    wanted = {"id": {"any_": [str(flow_run_id)]}}
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = ask("/task_runs/filter", flow_runs=wanted, sort="EXPECTED_START_TIME_ASC")
        if len(found) >= count and all(one["end_time"] for one in found):
            return found
        time.sleep(0.1)
    raise AssertionError(f"{count} task runs did not arrive")


def artifacts(**wanted: list[str]) -> dict[str, str]:
    """Text of the newest artifact of each key, of those that fit: `key=[…]` or `flow_run_id=[…]`."""
    fits = {name: {"any_": values} for name, values in wanted.items()}
    found: dict[str, str] = {}
    for artifact in ask("/artifacts/filter", artifacts=fits, sort="CREATED_DESC"):
        found.setdefault(artifact["key"], artifact["data"])
    return found
