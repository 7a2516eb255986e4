"""The live view of an operation: it follows the journal, wherever the operation runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from quoracy.cli.screen import Console
from quoracy.db.models import Operation, StepRecord
from quoracy.db.operations import latest_operation, steps_of
from quoracy.db.session import Database
from quoracy.errors import QuoracyError
from quoracy.operation.journal import PUT_BACK

EVERY_S = 0.25
_MARKS = {
    "planned": ("·", "dim"),
    "started": ("▸", "yellow"),
    "done": ("✓", "green"),
    "failed": ("✗", "red"),
    "undone": ("↺", "magenta"),
    "undo_failed": ("✗", "red bold"),
}
_UNDER_WAY = {"planned": "not yet", "started": "under way"}
_CUT_OFF = {"planned": "not taken", "started": "cut off: its process ended meanwhile"}
_SAID = " " * 4
_TROUBLE = ("failed", "undone", "undo_failed")


@dataclass(frozen=True, slots=True)
class Followed:
    """What of an operation is shown; `operation` is None until its journal has begun."""

    operation: Operation | None
    steps: Sequence[StepRecord]
    begun: datetime


class Told:
    """What hosts and builds have said and a person has on the screen: it is not shown twice."""

    def __init__(self) -> None:
        self._lines: set[str] = set()

    def add(self, text: str) -> None:
        """Note what is shown: in the text of an error, such lines are indented below what happened."""
        self._lines |= {line.strip() for line in text.splitlines() if line.startswith(_SAID)}

    def output(self, line: str) -> None:
        """Note a line that is shown as it comes, with its host before it."""
        self._lines.add(line.partition(": ")[2].strip())

    def rest_of(self, text: str) -> str:
        """A text without the lines that were shown."""
        left: list[str] = []
        for line in text.splitlines():
            if not (line.startswith(_SAID) and line.strip() in self._lines):
                left.append(line)
            elif left and left[-1].endswith(":"):
                left[-1] += " what stands above"
        return "\n".join(left)


@contextmanager
def following(
    db: Database, cluster: str, *, console: Console, told: Told | None = None
) -> Iterator[None]:
    """Show the operation on a cluster or service that begins from now on, while the block runs.

    On a terminal one line per member is kept up to date; elsewhere each step is a line when it ends.

    Args:
        told: What is on the screen already, and what is put there.
    """
    begun = db.now()
    stop = threading.Event()
    told = told or Told()

    def look() -> Followed:
        operation = latest_operation(db, cluster, begun)
        return Followed(operation, steps_of(db, operation.id) if operation else (), begun)

    def show() -> None:
        try:
            with suppress(OSError):  # nobody may read any more
                (_live if console.is_terminal else _lines)(_looks(look, stop), console, told)
        except QuoracyError as error:
            console.print(f"the view ends here, the operation goes on: {error}", style="yellow")

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=10)


def _looks(look: Callable[[], Followed], stop: threading.Event) -> Iterator[tuple[Followed, bool]]:
    """Look again and again, and a last time after the end; says whether it is the last."""
    last = False
    while not last:
        last = stop.wait(EVERY_S)
        yield look(), last


def _live(looks: Iterable[tuple[Followed, bool]], console: Console, told: Told) -> None:
    followed = None
    with Live(console=console, refresh_per_second=8, transient=False) as live:
        for followed, last in looks:
            now = None if last else datetime.now(UTC)
            live.update(live_view(followed, now=now, told=told))
    for step in followed.steps if followed else ():
        told.add(step.detail)


def _lines(looks: Iterable[tuple[Followed, bool]], console: Console, told: Told) -> None:
    shown: set[int] = set()
    for followed, _ in looks:
        for step in followed.steps:
            if step.ended_at is not None and step.seq not in shown:
                shown.add(step.seq)
                console.print(step_line(step, told=told), soft_wrap=True)
                told.add(step.detail)


def live_view(
    followed: Followed, *, now: datetime | None, told: Told | None = None
) -> RenderableType:
    """Title, one line per member (or host), then what failed and what was put back.

    Args:
        followed: The operation and its steps so far.
        now: The present; None when the operation is over, and nothing is under way any more.
        told: What is on the screen already.
    """
    operation, steps = followed.operation, followed.steps
    parts: list[RenderableType] = []
    if operation and steps:
        parts += [Text(operation.title, style="bold"), _lines_of_members(steps, now)]
    troubles = (step for step in steps if step.state in _TROUBLE and step.ended_at)
    parts += [step_line(step, told=told) for step in troubles]
    if now and not any(step.state == "started" for step in steps):
        parts.append(_between_steps(followed, now))
    return Group(*parts)


def _between_steps(followed: Followed, now: datetime) -> Text:
    last = max((s.ended_at for s in followed.steps if s.ended_at), default=followed.begun)
    doing = "looking at the hosts" if followed.operation else "starting, looking at the hosts"
    return Text(f"▸ {doing} … {(now - last).total_seconds():.0f} s", style="dim")


def _lines_of_members(steps: Sequence[StepRecord], now: datetime | None) -> Table:
    table = Table.grid(
        Column(no_wrap=True),
        Column(no_wrap=True, max_width=24),
        Column(width=16),
        Column(justify="right", no_wrap=True),
        Column(justify="right", no_wrap=True),
        Column(no_wrap=True, overflow="ellipsis", ratio=1),
        padding=(0, 1),
        expand=True,
    )
    for name, own in _by_line(steps).items():
        state = _state(own)
        mark, colour = _MARKS[state]
        planned = [step for step in own if step.reason != PUT_BACK]
        done = sum(1 for step in planned if step.state == "done")
        seconds = sum(_seconds(step, now) for step in own)
        table.add_row(
            Text(mark, style=colour),
            name,
            ProgressBar(len(planned), done, complete_style=colour, finished_style=colour),
            f"{done}/{len(planned)}",
            f"{seconds:.1f} s" if seconds else "",
            Text(_current(own, state), style="dim" if state == "planned" else ""),
        )
    return table


def _by_line(steps: Sequence[StepRecord]) -> dict[str, list[StepRecord]]:
    """A group on one host is a line of its own; one over several hosts has a line per host."""
    hosts: dict[str, set[str]] = {}
    for step in steps:
        hosts.setdefault(step.group, set()).add(step.host)
    lines: dict[str, list[StepRecord]] = {}
    for step in steps:
        alone = len(hosts[step.group]) == 1
        name = step.group if alone else step.host or "controller"
        lines.setdefault(name, []).append(step)
    return lines


def _state(steps: Sequence[StepRecord]) -> str:
    states = {step.state for step in steps}
    for state in ("undo_failed", "undone", "failed", "started"):
        if state in states:
            return state
    return "done" if states == {"done"} else "planned"


def _current(steps: Sequence[StepRecord], state: str) -> str:
    """The step that says most about the line: the one under way, the one that failed, the next."""
    if state == "done":
        return ""
    if state in _TROUBLE:
        state = next((s.state for s in steps if s.state == "failed"), state)
    return next(step.title for step in steps if step.state == state)


def step_line(step: StepRecord, *, over: bool = True, told: Told | None = None) -> Text:
    """One step as one line; what went wrong is told in full.

    Args:
        step: As the journal has it.
        over: Whether the operation has ended, so that what has not been done never will be.
        told: What is on the screen already and not repeated.
    """
    mark, colour = _MARKS[step.state]
    where = step.host or "controller"
    undo = "put back: " if step.reason == PUT_BACK else ""
    line = Text(f"{mark} ", style=colour)
    line.append(f"{where}: {undo}{step.title}", style="default")
    why_not = (_CUT_OFF if over else _UNDER_WAY).get(step.state, step.state)
    taken = f"{_seconds(step, None):.1f} s" if step.ended_at else f"({why_not})"
    line.append(f" {taken}", style="dim")
    if step.state in ("failed", "undo_failed"):
        detail = told.rest_of(step.detail) if told else step.detail
        line.append(f"\n  {detail.removeprefix(f'{where}: ')}", style="red")
    elif step.detail:
        line.append(f"  {step.detail.splitlines()[0]}", style="dim")
    return line


def _seconds(step: StepRecord, now: datetime | None) -> float:
    """How long a step took, or has taken until now."""
    until = step.ended_at or now
    return (until - step.started_at).total_seconds() if step.started_at and until else 0.0
