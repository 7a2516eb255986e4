"""What every operation's flow does besides its own work: groups, artifacts, end states, who asked."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Callable, Mapping
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas import State
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.states import Completed, Failed

from blocks.secret import load_secret
from quoracy.errors import QuoracyError
from quoracy.operate.run import Asked, Report
from quoracy.plan.markdown import plan_markdown
from quoracy.plan.plan import Group, Plan
from quoracy.secrets import DEFAULT, Resolver

_ENDINGS = {
    "done": "Done",
    "nothing_to_do": "Nothing to do",
    "dry_run": "Changes pending",
}


def enter_group(group: Group, body: Callable[[], None]) -> None:
    """Run a group as a subflow named after its member; groups over all hosts need none.

    Only the root run keeps its heartbeat: each heartbeat thread costs a second at the subflow's end.
    """
    if not group.member:
        body()
        return

    @flow(name="member", flow_run_name=group.title, persist_result=False, validate_parameters=False)
    def member() -> None:
        body()

    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        member()


def publish_plan(plan: Plan) -> None:
    """Show the plan in the run's artifacts and log its title."""
    get_run_logger().info("plan: %s", plan.title)
    create_markdown_artifact(
        plan_markdown(plan), key=f"plan-{plan.cluster}", description=plan.title
    )


def settled(cluster: str, run: Callable[[], Report]) -> State[Any]:
    """Run an operation and end in a state that says in words what became of it.

    A QuoracyError becomes a failed state named after it, with its message: no traceback.
    """
    _tag(cluster)
    try:
        report = run()
    except QuoracyError as error:
        create_markdown_artifact(
            f"# {type(error).__name__}\n\n{error}\n",
            key=f"result-{cluster}",
            description=error.what,
        )
        return Failed(name=type(error).__name__, message=str(error))
    ending = _ENDINGS.get(report.outcome, report.outcome)
    create_markdown_artifact(
        f"# {ending}\n\n{report.plan.title}\n\nOperation `{report.operation_id}`\n",
        key=f"result-{cluster}",
        description=ending,
    )
    return Completed(name=ending, message=f"{ending}: {report.plan.title}", data=None)


def asked_by_prefect() -> Asked:
    """Who asked, as far as Prefect knows: it has no user identity, so the worker's login stands in."""
    run_id = flow_run.id
    requested = dict(flow_run.parameters).get("requested_by")
    by = requested or getpass.getuser()
    return Asked(by=str(by), origin=f"prefect on {socket.gethostname()}", flow_run_id=run_id)


def block_resolvers() -> Mapping[str, Resolver]:
    """How references to secrets are resolved inside flows: `block:` as well."""
    return {**DEFAULT, "block": load_secret}


def _tag(cluster: str) -> None:
    """Let runs be found by cluster, wherever they were started from."""
    with get_client(sync_client=True) as client:
        client.update_flow_run(flow_run.id, tags=sorted({*flow_run.tags, f"cluster:{cluster}"}))
