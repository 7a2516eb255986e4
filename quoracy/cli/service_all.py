"""`service redeploy --all`: a process for each service, a few at once; one that fails stops no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.table import Column, Table
from rich.text import Text

from quoracy.cli.child import Child, Children
from quoracy.cli.run_operation import PENDING, Way
from quoracy.cli.screen import Console
from quoracy.errors import UsageError
from quoracy.services.project import FoundService, find_services, project_root

if TYPE_CHECKING:
    from collections.abc import Mapping

AT_ONCE = 4
SKIPPED = "infrastructure, without code of yours to redeploy"
_COLOURS = {"failed": "red", "skipped": "dim", "pending": "yellow", "done": "green"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended for one service.

    Attributes:
        exit_code: That of the service's own command; 0 for one that was skipped.
        seconds: How long it took; 0.0 when nothing was run.
    """

    service: str
    state: str
    message: str
    exit_code: int = 0
    seconds: float = 0.0
    flow_run: str | None = None

    @property
    def kind(self) -> str:
        """In one of four words."""
        if self.state == "Skipped":
            return "skipped"
        return {0: "done", PENDING: "pending"}.get(self.exit_code, "failed")


def redeploy_all(project: Path, flags: Mapping[str, bool], way: Way) -> typer.Exit:
    """Redeploy every service of the project that carries code.

    Returns:
        What the command ends with: 1 when any failed, 4 when a dry run has found something to do.

    Raises:
        UsageError: There are no services, or no server to run them through.
    """
    found = find_services(project)
    if not found:
        raise UsageError(
            "there are no services",
            where=str(project_root(project)),
            next_step="name a project with --project; each of its services has a "
            "deployments/<service>/service-config.yml",
        )
    _require_server(way)
    console = Console(stderr=way.as_json)
    outcomes = [one for one in map(_without_running, found) if one is not None]
    for outcome in outcomes:
        _tell(outcome, console)
    wanted = [one.name for one in found if one.name not in {o.service for o in outcomes}]
    outcomes += _run(wanted, _arguments(project, flags, way), console)
    outcomes.sort(key=lambda one: one.service)
    _show(outcomes, console, as_json=way.as_json)
    return typer.Exit(exit_code_of(outcomes))


def exit_code_of(outcomes: Iterable[Outcome]) -> int:
    """Failed before pending before done."""
    kinds = {one.kind for one in outcomes}
    return 1 if "failed" in kinds else PENDING if "pending" in kinds else 0


def _require_server(way: Way) -> None:
    """Once, instead of the same message from every service."""
    if way.submit and way.without_prefect:
        raise UsageError(
            "--submit hands the run to Prefect, --without-prefect does without it",
            next_step="give one of them",
        )
    if not way.without_prefect:
        from quoracy.home import load_home
        from quoracy.prefect.server import server_url

        server_url(load_home())


def _without_running(found: FoundService) -> Outcome | None:
    """What is known of a service without asking its hosts; None when it has to be run."""
    if found.loaded is None:
        state, error = type(found.error).__name__, found.error
        return Outcome(found.name, state, str(error), error.exit_code if error else 1)
    if not found.loaded.service.carries_code:
        return Outcome(found.name, "Skipped", f"{found.loaded.service.type}: {SKIPPED}")
    return None


def _arguments(project: Path, flags: Mapping[str, bool], way: Way) -> tuple[str, ...]:
    """What each service's own command is given."""
    asked = {**flags, "submit": way.submit, "without_prefect": way.without_prefect}
    options = (f"--{name.replace('_', '-')}" for name, wanted in asked.items() if wanted)
    return ("--json", "--project", str(project_root(project)), *options)


def _run(names: Sequence[str], arguments: tuple[str, ...], console: Console) -> list[Outcome]:
    def say(line: str) -> None:
        console.print(line, style="yellow", soft_wrap=True)

    children = Children(say)
    # The names of services hold neither a leading '-' nor anything that a shell would read.
    with children.interruptible(), ThreadPoolExecutor(AT_ONCE) as workers:
        return list(workers.map(lambda name: _one(name, arguments, children, console.print), names))


def _one(
    name: str, arguments: tuple[str, ...], children: Children, show: Callable[[Text], None]
) -> Outcome:
    show(Text(f"{name}: begun"))
    ended = children.run(name, ("redeploy", name, *arguments))
    outcome = _outcome(name, ended)
    show(_line(outcome))
    return outcome


def _outcome(name: str, ended: Child | None) -> Outcome:
    if ended is None:
        return Outcome(name, "Stopped", "not begun: a stop was asked for", 1)
    told = ended.told
    # Interrupted by a second Ctrl-C, or by one before it could answer to it, it says nothing more.
    silent = "Stopped" if ended.interrupted else "Crashed"
    return Outcome(
        name,
        str(told.get("state") or silent),
        str(told.get("message") or ended.last_words),
        ended.exit_code,
        ended.seconds,
        told.get("flow_run"),
    )


def _tell(outcome: Outcome, console: Console) -> None:
    console.print(_line(outcome), soft_wrap=True)


def _line(outcome: Outcome) -> Text:
    took = f" after {outcome.seconds:.1f} s" if outcome.seconds else ""
    line = Text(f"{outcome.service}: ").append(outcome.state, style=_COLOURS[outcome.kind])
    return line.append(f"{took}: {_first_line(outcome)}")


def _first_line(outcome: Outcome) -> str:
    """What happened; where more follows, it ends in a colon, which leads nowhere here."""
    return outcome.message.partition("\n")[0].rstrip(":")


def _show(outcomes: Sequence[Outcome], console: Console, *, as_json: bool) -> None:
    if as_json:
        from quoracy.cli.show import show_json

        show_json([{**asdict(one), "outcome": one.kind} for one in outcomes])
        return
    table = Table(
        Column("service", no_wrap=True),
        Column("outcome", no_wrap=True),
        Column("seconds", no_wrap=True, justify="right"),
        Column("", overflow="fold"),
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for one in outcomes:
        table.add_row(
            one.service,
            Text(one.state, style=_COLOURS[one.kind]),
            f"{one.seconds:.1f}" if one.seconds else "",
            Text(_first_line(one)),
        )
    console.print()
    console.print(table)
    for one in outcomes:
        if one.kind == "failed" and one.message != _first_line(one):
            console.print(Text(f"\n{one.service}: {one.message}"), soft_wrap=True)
