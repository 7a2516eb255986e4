"""Running an operation from the terminal: through Prefect here, handed over, or without Prefect."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import typer
from rich.markdown import Markdown
from rich.text import Text

from quoracy.cli.screen import Console
from quoracy.errors import NotApproved, QuoracyError, UsageError

if TYPE_CHECKING:
    from quoracy.home import Home
    from quoracy.operation.approval import Approval
    from quoracy.operation.operation import Operation

PENDING = 4


@dataclass(frozen=True, slots=True)
class Way:
    """How an operation is run and shown.

    Attributes:
        asks: Whether somebody is asked after the first member.
    """

    submit: bool
    without_prefect: bool
    as_json: bool
    asks: bool = False


@dataclass(frozen=True, slots=True)
class Ending:
    """How it ended, in a word and a sentence.

    Attributes:
        more: Where to read on: the run's page, or a command.
    """

    state: str
    message: str
    exit_code: int
    more: str
    flow_run: str | None = None


Open = Callable[["Home"], AbstractContextManager["Operation[Any]"]]


def run_operation(
    flow: str,
    parameters: Mapping[str, Any],
    way: Way,
    open_plainly: Open,
    require_known: Callable[[], None],
) -> typer.Exit:
    """Run an operation, show it while it runs and how it ended.

    Args:
        flow: Name of the flow.
        parameters: Those of the flow; `cluster` or `service` is one of them.
        open_plainly: Opens the same operation without Prefect.
        require_known: Called before a server is asked: whoever mistypes a name shall not start one.

    Returns:
        What the command ends with.

    Raises:
        QuoracyError: The ways exclude each other, the name is unknown, or a server is needed and
            does not answer; with --json it is printed instead.
    """
    # A question cannot be asked in the middle of a live view.
    console = Console(stderr=way.as_json, force_terminal=False if way.asks else None)
    try:
        _require_sense(way)
        require_known()
        ending = _run(flow, parameters, way, open_plainly, console)
    except QuoracyError as error:
        if not way.as_json:
            raise
        ending = _ending_of(error, "")
    _show(ending, console, as_json=way.as_json)
    return typer.Exit(ending.exit_code)


def _run(
    flow: str, parameters: Mapping[str, Any], way: Way, open_plainly: Open, console: Console
) -> Ending:
    from quoracy.cli.follow import Told, following
    from quoracy.db.session import open_database
    from quoracy.home import load_home
    from quoracy.operation.subject import Subject

    home = load_home()
    subject = str(Subject.of(parameters))
    run = _run_plainly if way.without_prefect else _run_through_prefect
    db, told = open_database(home.database_url), Told()

    def show_output(line: str) -> None:
        told.output(line)
        with suppress(OSError):  # nobody may read any more: no reason for a step to fail
            console.print(line, style="dim", markup=False, highlight=False)

    try:
        with _at_the_keyboard(way, console, show_output):
            ending = run(
                _Call(home, flow, parameters, way, open_plainly, console),
                lambda: following(db, subject, console=console, told=told),
            )
    finally:
        db.close()
    # Scripts have not seen what is on the screen.
    return ending if way.as_json else replace(ending, message=told.rest_of(ending.message))


@dataclass(frozen=True, slots=True)
class _Call:
    home: Home
    flow: str
    parameters: Mapping[str, Any]
    way: Way
    open_plainly: Open
    console: Console


def _require_sense(way: Way) -> None:
    if way.submit and way.without_prefect:
        raise UsageError(
            "--submit hands the run to Prefect, --without-prefect does without it",
            next_step="give one of them",
        )
    if way.asks and way.without_prefect and not sys.stdin.isatty():
        raise UsageError(
            "nobody is at a terminal to be asked after the first member",
            next_step="add --yes, or leave --pause-after-first out",
        )


def _at_the_keyboard(way: Way, console: Console, show_output: Callable[[str], None]) -> ExitStack:
    """Ctrl-C stops between members or hosts, what ends the process puts back first; questions are asked here.

    What builds and hooks say is shown here, too.
    """
    from quoracy.operation.approval import approving_with
    from quoracy.operation.interrupt import stop_on_signals
    from quoracy.operation.output import showing_with

    stack = ExitStack()
    if way.submit:
        return stack  # it runs elsewhere: Ctrl-C ends the waiting for it
    stack.enter_context(showing_with(show_output))
    stack.enter_context(stop_on_signals(lambda said: console.print(said, style="yellow")))
    if way.asks and sys.stdin.isatty():
        stack.enter_context(approving_with(lambda question: _ask(question, console)))
    return stack


def _ask(approval: Approval, console: Console) -> None:
    from quoracy.operation.markdown import inline

    left = ", ".join(approval.left)
    console.print(
        Markdown(f"{inline(approval.done)} is done:\n\n{approval.figures}", hyperlinks=False)
    )
    try:
        approved = typer.confirm(f"Go on with {left}?", err=True)
    except typer.Abort:  # Ctrl-D or Ctrl-C is a no as well
        approved = False
    if not approved:
        raise NotApproved(
            f"not approved; left as they were: {left}",
            where=approval.cluster,
            next_step="run the same command again to go on",
        )


def _run_through_prefect(call: _Call, following: Callable[[], Any]) -> Ending:
    from quoracy.prefect import submit
    from quoracy.prefect.server import without_login

    url = submit.use_server(call.home)
    with following():
        if call.way.submit:
            ended = submit.submit(
                call.home, call.flow, call.parameters, lambda page: _say_where(call, page)
            )
        else:
            ended = submit.run_here(call.flow, call.parameters)
    page = f"{without_login(url)}/runs/flow-run/{ended.flow_run_id}"
    return Ending(ended.state, ended.message, ended.exit_code, page, page)


def _say_where(call: _Call, page: str) -> None:
    waits = "; it waits there for approval after the first member" if call.way.asks else ""
    said = f"handed over: {page}{waits}"
    call.console.print(said, style="dim", highlight=False, soft_wrap=True)


def _run_plainly(call: _Call, following: Callable[[], Any]) -> Ending:
    """The same loop with the journal alone, for the night when the Prefect server is what is down."""
    from quoracy.cli.show import show_plan
    from quoracy.db.holder import asking_user
    from quoracy.operation.approval import approver_at_hand
    from quoracy.operation.lease import ENDINGS, Asked
    from quoracy.operation.output import show_output
    from quoracy.operation.subject import Subject
    from quoracy.startup import collect_from_now_on

    asked = Asked(by=asking_user(), origin=f"terminal, without prefect on {socket.gethostname()}")
    more = f"quoracy history {Subject.of(call.parameters)}"
    try:
        with call.open_plainly(call.home) as operation, following():
            collect_from_now_on()
            operation.approve = approver_at_hand() if call.way.asks else None
            operation.log = show_output
            plan = operation.plan()
            report = operation.run(plan, asked)
            if report.outcome == "dry_run" and not call.way.as_json:
                show_plan(plan, call.console)
    except QuoracyError as error:
        return _ending_of(error, more)
    message = "\n".join((report.plan.title, *report.notes))
    exit_code = PENDING if report.outcome == "dry_run" else 0
    more = f"quoracy history --operation {report.operation_id[:8]}"
    return Ending(ENDINGS[report.outcome], message, exit_code, more)


def _ending_of(error: QuoracyError, more: str) -> Ending:
    return Ending(type(error).__name__, str(error), error.exit_code, more)


def _show(ending: Ending, console: Console, *, as_json: bool) -> None:
    from quoracy.cli.show import show_json
    from quoracy.redact import redact

    message = redact(ending.message)
    if as_json:
        show_json(
            {
                "state": ending.state,
                "message": message,
                "flow_run": ending.flow_run,
                "exit_code": ending.exit_code,
            }
        )
        return
    colour = "green" if ending.exit_code in (0, PENDING) else "red"
    said = Text(f"{ending.state}: ", style=colour).append(message, style="default")
    console.print(said, soft_wrap=True)
    console.print(f"  {ending.more}", style="dim", highlight=False, soft_wrap=True)
