"""The live view of an operation: it follows the journal, wherever the operation runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console
from rich.live import Live
from rich.table import Table

from quoracy.db.models import StepRecord
from quoracy.db.operations import latest_operation, steps_of
from quoracy.db.session import Database

EVERY_S = 0.25
_MARKS = {
    "planned": ("·", "dim"),
    "started": ("▸", "yellow"),
    "done": ("✓", "green"),
    "failed": ("✗", "red"),
    "undone": ("↺", "magenta"),
    "undo_failed": ("✗", "red bold"),
}


@contextmanager
def following(db: Database, cluster: str, *, since: datetime, console: Console) -> Iterator[None]:
    """Show the cluster's operation that begins after `since`, while the block runs.

    On a terminal one line per group is kept up to date; elsewhere each step is a line when it ends.
    """
    stop = threading.Event()
    show = _live if console.is_terminal else _lines
    thread = threading.Thread(target=show, args=(db, cluster, since, console, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=10)


def _live(
    db: Database, cluster: str, since: datetime, console: Console, stop: threading.Event
) -> None:
    with Live(console=console, refresh_per_second=8, transient=False) as live:
        last = False
        while not last:
            last = stop.wait(EVERY_S)
            live.update(groups_table(_steps(db, cluster, since)))


def _lines(
    db: Database, cluster: str, since: datetime, console: Console, stop: threading.Event
) -> None:
    told: set[int] = set()
    last = False
    while not last:
        last = stop.wait(EVERY_S)
        for step in _steps(db, cluster, since):
            if step.ended_at is not None and step.seq not in told:
                told.add(step.seq)
                console.print(step_line(step), highlight=False, soft_wrap=True)


def groups_table(steps: Sequence[StepRecord]) -> Table:
    """One line per group: how far it is, and what is under way or failed."""
    table = Table.grid(padding=(0, 2))
    for group in dict.fromkeys(step.group for step in steps):
        own = [step for step in steps if step.group == group]
        ended = sum(1 for step in own if step.ended_at is not None)
        state = _state(own)
        mark, colour = _MARKS[state]
        current = next((s for s in reversed(own) if s.state == state), own[-1])
        text = current.title if state != "done" else f"{_seconds(own):.1f} s"
        table.add_row(f"[{colour}]{mark}[/]", group, f"{ended}/{len(own)}", text)
    return table


def step_line(step: StepRecord) -> str:
    """One step that has ended, as one line."""
    mark, colour = _MARKS[step.state]
    detail = f"  [dim]{step.detail.splitlines()[0]}[/]" if step.detail else ""
    where = step.host or "controller"
    undo = "put back: " if step.state in ("undone", "undo_failed") else ""
    return f"[{colour}]{mark}[/] {where}: {undo}{step.title} {_seconds([step]):.1f} s{detail}"


def _state(steps: Sequence[StepRecord]) -> str:
    states = {step.state for step in steps}
    for state in ("undo_failed", "undone", "failed", "started"):
        if state in states:
            return state
    if states == {"done"}:
        return "done"
    return "started" if "done" in states else "planned"


def _seconds(steps: Sequence[StepRecord]) -> float:
    begun = [step.started_at for step in steps if step.started_at]
    ended = [step.ended_at for step in steps if step.ended_at]
    return (max(ended) - min(begun)).total_seconds() if begun and ended else 0.0


def _steps(db: Database, cluster: str, since: datetime) -> list[StepRecord]:
    operation = latest_operation(db, cluster, since)
    return steps_of(db, operation.id) if operation else []
