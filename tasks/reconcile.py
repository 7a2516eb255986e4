"""Ending Prefect runs whose process is gone: a server by itself shows them as Running for ever."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas import OrchestrationResult, State
from prefect.client.schemas.responses import SetStateStatus
from prefect.states import Cancelled, Crashed

from quoracy.db.session import Database
from quoracy.operate.reconcile import operation_of_run
from tasks.run import MEMBER

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
    alone: the automation of `deployments/automations.py` ends it when its heartbeat stops.

    Args:
        db: Holds the journal.
        flows: Names of the flows whose runs may be settled; the server may have others.
        dead: IDs of the flow runs whose process is known to be gone.
        grace: How long a run may take to end after its operation, or after it was cancelled.
    """
    before = datetime.now(UTC) - grace
    with get_client(sync_client=True) as client:
        roots = tuple(
            _end_flow_run(client, run, _GONE)
            for run in _flow_runs(client, flows, _UNDER_WAY)
            if run["id"] in dead or _is_over(db, run, before)
        )
        return (*roots, *_settle_members(client), *_settle_tasks(client, {*flows, MEMBER}))


def _is_over(db: Database, run: Run, before: datetime) -> bool:
    """Whether the run has had its time to tell how its operation ended, or to obey."""
    operation = operation_of_run(db, run["id"])
    if operation is not None and operation.state == "running":
        return False
    since = datetime.fromisoformat(run["state"]["timestamp"])
    if run["state_type"] == "CANCELLING":
        return since < before
    ended = operation.ended_at if operation else None
    return ended is not None and since < ended < before


def _settle_members(client: SyncPrefectClient) -> Iterator[SettledRun]:
    """Members' subflows whose root run has ended."""
    for run in _flow_runs(client, [MEMBER], ("PENDING", *_UNDER_WAY)):
        parent = client.read_task_run(UUID(run["parent_task_run_id"])).flow_run_id
        root = client.read_flow_run(parent) if parent else None
        if root is None or root.state is None or root.state.is_final():
            yield _end_flow_run(client, run, _LEFT)


def _settle_tasks(client: SyncPrefectClient, flows: Collection[str]) -> Iterator[SettledRun]:
    """Task runs whose flow run has ended; the subflow of a member has one, too."""
    wanted = {
        "flows": {"name": {"any_": sorted(flows)}},
        "flow_runs": {"state": {"type": {"any_": _FINAL}}},
        "task_runs": {"state": {"type": {"any_": ("PENDING", *_UNDER_WAY)}}},
    }
    for run in _ask(client, "/task_runs/filter", wanted):
        state: State[Any] = Crashed(message=_LEFT)
        client.set_task_run_state(UUID(run["id"]), state, force=True)
        yield SettledRun(run["name"], str(state.name))


def _flow_runs(
    client: SyncPrefectClient, flows: Collection[str], states: Collection[str]
) -> list[Run]:
    runs = {"state": {"type": {"any_": list(states)}}}
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
