"""Start operations through Prefect: here in this process, or by handing them to a deployment.

The only module of the library that imports Prefect, and only inside its functions: the environment
has to say where the server is before the import.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quoracy import errors
from quoracy.db.holder import asking_user
from quoracy.home import Home
from quoracy.operation.subject import Subject
from quoracy.operation.terminal import started_by
from quoracy.prefect.server import login_for, server_url, without_login
from quoracy.prefect.up import RUNNER, SERVER, prefect_environment, read_service
from quoracy.startup import collect_from_now_on

if TYPE_CHECKING:
    from prefect.client.schemas import FlowRun

POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a flow run ended.

    Attributes:
        state: Name of the final state, for example "Done" or "RolledBack".
        message: What it says.
        flow_run_id: To find it in the UI.
        exit_code: What a command ends with.
    """

    state: str
    message: str
    flow_run_id: str
    exit_code: int


def use_server(home: Home) -> str:
    """Point this process at the Prefect server; returns its URL.

    Raises:
        UsageError: No server answers.
    """
    url = server_url(home)
    os.environ.update(prefect_environment(home, url, login_for(home, url)))
    return url


def run_here(flow_name: str, parameters: Mapping[str, Any]) -> Ended:
    """Run a flow of this checkout in this process and record it at the server.

    Raises:
        UsageError: This is not a checkout.
        QuoracyError: The server went away.
    """
    module_name = flow_name.replace("-", "_")
    try:
        module = importlib.import_module(f"flows.{module_name}")
    except ModuleNotFoundError as error:
        raise errors.UsageError(
            f"the flow {flow_name} is not in this environment ({error.name} is missing)",
            next_step="use --submit, or run from a checkout of Quoracy",
        ) from None
    from prefect import tags

    _quieten()
    collect_from_now_on()
    with (
        started_by(asking_user()),
        _server_needed("the flow ran", str(Subject.of(parameters))),
        tags(*_tags(parameters)),
    ):
        state = getattr(module, module_name)(**parameters, return_state=True)
    return _ended(state, str(state.state_details.flow_run_id))


def submit(
    home: Home,
    flow_name: str,
    parameters: Mapping[str, Any],
    handed_over: Callable[[str], None] = lambda _: None,
) -> Ended:
    """Hand a run to the flow's deployment and wait for its end.

    Args:
        home: Whose runner takes the run.
        flow_name: Name of flow and deployment.
        parameters: Those of the flow; `cluster` or `service` is one of them.
        handed_over: Told the run's page when the run has been handed over.

    Raises:
        UsageError: Nobody serves the deployment.
        QuoracyError: The server went away, or Ctrl-C ended the waiting: the run goes on.
    """
    if read_service(home, SERVER) and not read_service(home, RUNNER):
        raise errors.UsageError(
            "no runner is there to take the run", next_step="run `quoracy up`, then this again"
        )
    _quieten()
    subject, place = str(Subject.of(parameters)), f"{_server()}/runs"
    became = "it is not known whether the run was handed over"
    try:
        with _server_needed("the run was handed over", subject):
            run = _hand_over(f"{flow_name}/{flow_name}", parameters)
        place, became = f"{place}/flow-run/{run.id}", "the run goes on in the runner"
        handed_over(place)
        with _server_needed("the runner worked", subject):
            run = _await_end(run)
    except KeyboardInterrupt:
        raise errors.QuoracyError(
            f"stopped waiting; {became}",
            next_step=f"see {place}, or `quoracy history {subject}`",
        ) from None
    return _ended(run.state, str(run.id))


def _hand_over(deployment: str, parameters: Mapping[str, Any]) -> FlowRun:
    from prefect.deployments import run_deployment
    from prefect.exceptions import ObjectNotFound

    try:
        # Without waiting, which would keep the run's ID to itself until the end.
        run: FlowRun = run_deployment(  # type: ignore[assignment]
            deployment, parameters=dict(parameters), tags=_tags(parameters), timeout=0
        )
    except ObjectNotFound:
        raise errors.UsageError(
            f"the server knows no deployment {deployment}",
            next_step="run `quoracy up`, or `prefect deploy --all` in a checkout",
        ) from None
    return run


def _await_end(run: FlowRun) -> FlowRun:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        while run.state is None or not run.state.is_final():
            time.sleep(POLL_S)
            run = client.read_flow_run(run.id)
    return run


@contextmanager
def _server_needed(doing: str, subject: str) -> Iterator[None]:
    """Say which server went away, in words."""
    import httpx

    try:
        yield
    except (httpx.HTTPError, RuntimeError) as error:
        # Prefect's client raises a RuntimeError when it reaches nobody at its first request.
        cause = error if isinstance(error, httpx.HTTPError) else error.__cause__
        if not isinstance(cause, httpx.HTTPError):
            raise
        became = "failed" if isinstance(cause, httpx.HTTPStatusError) else "went away"
        said = str(cause).partition("\n")[0] or type(cause).__name__
        raise errors.QuoracyError(
            f"the Prefect server at {_server()} {became} while {doing}: {said}",
            next_step=f"the operation itself is in `quoracy history {subject}`; "
            "see that the server runs (`quoracy up`)",
        ) from error


def _server() -> str:
    from prefect.settings import get_current_settings

    return without_login((get_current_settings().api.url or "").removesuffix("/api"))


def _tags(parameters: Mapping[str, Any]) -> list[str]:
    return ["quoracy", Subject.of(parameters).tag]


def _ended(state: Any, flow_run_id: str) -> Ended:
    return Ended(state.name, state.message or "", flow_run_id, _exit_code(state))


def _exit_code(state: Any) -> int:
    """Failed states are named after the error that caused them."""
    if state.is_completed():
        return 4 if state.name == "Changes pending" else 0
    named = getattr(errors, state.name, None)
    # Prefect's own names, as "Crashed", and those of other things in that module are no errors.
    if isinstance(named, type) and issubclass(named, errors.QuoracyError):
        return named.exit_code
    return errors.QuoracyError.exit_code


def _quieten() -> None:
    """The live view tells what happens; Prefect's own console lines would break it."""
    import logging

    from prefect.logging.handlers import PrefectConsoleHandler

    for name in ("prefect", "prefect.flow_runs", "prefect.task_runs", ""):
        for handler in logging.getLogger(name).handlers:
            if isinstance(handler, PrefectConsoleHandler):
                handler.setLevel(logging.CRITICAL)
