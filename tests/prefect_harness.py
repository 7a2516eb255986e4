"""One Prefect server for the whole session, started when the first test needs it (pytest plugin)."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from uuid import UUID

import pytest

# Prefect reads its settings when it is imported, which test modules do at their top.
_HOME = tempfile.TemporaryDirectory(prefix="quoracy-prefect-", ignore_cleanup_errors=True)
os.environ.update(
    PREFECT_HOME=_HOME.name,
    DO_NOT_TRACK="1",
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
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


def logs_of(flow_run_id: UUID, *, until: str) -> Sequence[str]:
    """The run's log lines at the API, waited for until one holds a text: they arrive in batches."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId

    wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[flow_run_id]))
    deadline = time.monotonic() + 60
    with get_client(sync_client=True) as client:
        while time.monotonic() < deadline:
            lines = [log.message for log in client.read_logs(wanted)]
            if any(until in line for line in lines):
                return lines
            time.sleep(0.1)
    raise AssertionError(f"no log line with {until!r} arrived")


def artifacts(**wanted: list[str]) -> dict[str, str]:
    """Text of the newest artifact of each key, of those that fit: `key=[…]` or `flow_run_id=[…]`."""
    from prefect.client.orchestration import get_client

    fits = {name: {"any_": values} for name, values in wanted.items()}
    with get_client(sync_client=True) as client:
        # The client's own read_artifacts sends nulls that the server refuses (3.8.8).
        answer = client.request(
            "POST", "/artifacts/filter", json={"artifacts": fits, "sort": "CREATED_DESC"}
        )
    found: dict[str, str] = {}
    for artifact in answer.json():
        found.setdefault(artifact["key"], artifact["data"])
    return found
