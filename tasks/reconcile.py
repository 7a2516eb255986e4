"""Ending Prefect runs whose process is gone: a server by itself shows them as Running for ever."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas import OrchestrationResult, State
from prefect.client.schemas.responses import SetStateStatus
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_logger
from prefect.states import Cancelled, Crashed

from quoracy.db.session import Database
from quoracy.operation.reconcile import operation_of_run
from quoracy.redact import redact
from tasks.run import HOST, TAG

# The end of an operation is told to the API right after it; while that is away, Prefect repeats
# itself for a minute, twice.
GRACE = timedelta(minutes=3)
_UNDER_WAY = ("RUNNING", "PAUSED", "CANCELLING")
_FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
_GONE = (
    "Its process is gone. Retry the run, or start the operation again: it goes on from the hosts."
)
_LEFT = "Left behind by a run that has ended."

Run: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SettledRun:
    """A flow run or task run that seemed to be under way and was ended in this state."""

    name: str
    state: str


def settle_runs(
    db: Database, flows: Collection[str], *, dead: Collection[str] = (), grace: timedelta = GRACE
) -> tuple[SettledRun, ...]:
    """End the runs whose operation has ended, then what ended runs have left under way.

    A run whose operation has not begun, or that was started again after it had ended, is left
    alone: the automation of `deployments/automations.py` ends it when its heartbeat stops. So is
    a suspended one: it has no process, and is resumed.

    Args:
        db: Holds the journal.
        flows: Names of the flows whose runs may be settled; the server may have others.
        dead: IDs of the flow runs of which an operation's process is known to be gone: no grace.
        grace: How long a run may take to end after its operation, or after it was cancelled.
    """
    before = datetime.now(UTC) - grace
    with get_client(sync_client=True) as client:
        found: list[SettledRun] = []
        for run in _flow_runs(client, flows, _UNDER_WAY):
            with _apart(run):
                if _is_over(db, run, before, known=run["id"] in dead):
                    found.append(_end_flow_run(client, run, _GONE))
        for run in _flow_runs(client, [HOST], ("PENDING", *_UNDER_WAY)):
            with _apart(run):
                if _is_left_behind(client, run):
                    found.append(_end_flow_run(client, run, _LEFT))
        for run in _task_runs(client, {*flows, HOST}):
            with _apart(run):
                found.append(_end_task_run(client, run))
        return tuple(found)


@contextmanager
def _apart(run: Run) -> Iterator[None]:
    """Settle the others even if this one cannot be, say because it was deleted meanwhile."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  the API and the database fail in many ways
        said = redact(str(error).partition("\n")[0]) or type(error).__name__
        get_logger("flow_runs").warning("run %s could not be settled: %s", run["name"], said)


def _is_over(db: Database, run: Run, before: datetime, *, known: bool) -> bool:
    """Whether the run has had its time to tell how its operation ended, or to obey."""
    operation = operation_of_run(db, run["id"])
    if run["state_name"] == "Suspended" or (operation and operation.state == "running"):
        return False
    since = datetime.fromisoformat(run["state"]["timestamp"])
    if run["state_type"] == "CANCELLING" and since < before:
        return True
    # A retried run keeps its ID: what died before this state began was an earlier attempt.
    if operation is None or operation.ended_at is None or since >= operation.heartbeat_at:
        return False
    return known or operation.ended_at < before


def _is_left_behind(client: SyncPrefectClient, run: Run) -> bool:
    """Whether the root run of a host's subflow has ended, or was deleted."""
    parent = run["parent_task_run_id"]
    try:
        root_id = client.read_task_run(UUID(parent)).flow_run_id if parent else None
        root = client.read_flow_run(root_id) if root_id else None
    except ObjectNotFound:
        return True
    return root is None or root.state is None or root.state.is_final()


def _task_runs(client: SyncPrefectClient, flows: Collection[str]) -> list[Run]:
    """Task runs whose flow run has ended; the subflow of a host has one, too."""
    wanted = {
        "flows": {"name": {"any_": sorted(flows)}},
        "flow_runs": {"state": {"type": {"any_": _FINAL}}, "tags": {"all_": [TAG]}},
        "task_runs": {"state": {"type": {"any_": ("PENDING", *_UNDER_WAY)}}},
    }
    return _ask(client, "/task_runs/filter", wanted)


def _flow_runs(
    client: SyncPrefectClient, flows: Collection[str], states: Collection[str]
) -> list[Run]:
    runs = {"state": {"type": {"any_": list(states)}}, "tags": {"all_": [TAG]}}
    wanted = {"flows": {"name": {"any_": sorted(flows)}}, "flow_runs": runs}
    return _ask(client, "/flow_runs/filter", wanted)


def _ask(client: SyncPrefectClient, path: Any, wanted: dict[str, Any]) -> list[Run]:
    # Not by the client's own methods: they send nulls for what is not given, and the server of
    # Prefect 3.8.8 with FastAPI 0.153 refuses those for task runs.
    found: list[Run] = client.request("POST", path, json=wanted).json()
    return found


def _end_flow_run(client: SyncPrefectClient, run: Run, message: str) -> SettledRun:
    """End it, unless it has ended by itself meanwhile: the server does not let go of an end."""
    end = Cancelled if run["state_type"] == "CANCELLING" else Crashed
    answer: OrchestrationResult[Any] = client.set_flow_run_state(
        UUID(run["id"]), end(message=message)
    )
    accepted = answer.status is SetStateStatus.ACCEPT
    now = answer.state if accepted else client.read_flow_run(UUID(run["id"])).state
    return SettledRun(run["name"], str(now.name) if now else "")


def _end_task_run(client: SyncPrefectClient, run: Run) -> SettledRun:
    state: State[Any] = Crashed(message=_LEFT)
    client.set_task_run_state(UUID(run["id"]), state, force=True)
    return SettledRun(run["name"], str(state.name))
