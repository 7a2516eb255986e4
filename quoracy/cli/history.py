"""`quoracy history`: who did what, when, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from quoracy.cli.follow import step_line
from quoracy.cli.options import AsJson, known_clusters
from quoracy.db.models import Operation, StepRecord

_COLOURS = {
    "done": "green",
    "nothing_to_do": "dim",
    "dry_run": "dim",
    "refused": "yellow",
    "running": "yellow",
}


def history(
    cluster: Annotated[
        str | None, typer.Argument(help="Only this cluster.", autocompletion=known_clusters)
    ] = None,
    operation: Annotated[
        str | None, typer.Option("--operation", help="The steps of one operation, by its ID.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show who did what, when, and how it ended."""
    from quoracy.cli.show import show_json
    from quoracy.db.operations import get_operation, steps_of
    from quoracy.db.operations import history as operations_of
    from quoracy.db.session import open_database
    from quoracy.home import load_home

    db = open_database(load_home().database_url)
    try:
        if operation:
            found = [get_operation(db, operation)]
            steps = steps_of(db, found[0].id)
        else:
            found, steps = operations_of(db, cluster, limit), []
    finally:
        db.close()
    if as_json:
        show_json(
            [
                {**o.model_dump(mode="json"), "steps": [s.model_dump(mode="json") for s in steps]}
                for o in found
            ]
        )
        return
    console = Console()
    if operation:
        _show_one(console, found[0], steps)
    else:
        _show_all(console, found)


def _show_all(console: Console, operations: Sequence[Operation]) -> None:
    table = Table(
        Column("ID", no_wrap=True),
        Column("when (UTC)", no_wrap=True),
        Column("who", no_wrap=True, max_width=12, overflow="ellipsis"),
        Column("outcome", no_wrap=True),
        Column("what", overflow="fold"),
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for one in operations:
        outcome = one.outcome or "running"
        table.add_row(
            one.id[:8],
            f"{one.started_at:%Y-%m-%d %H:%M}",
            one.requested_by,
            Text(outcome.replace("_", " "), style=_COLOURS.get(outcome, "red")),
            one.title,
        )
    console.print(table)


def _show_one(console: Console, one: Operation, steps: Sequence[StepRecord]) -> None:
    ended = f" to {one.ended_at:%H:%M:%S}" if one.ended_at else ""
    console.print(Text(one.title, style="bold"))
    console.print(
        f"  {(one.outcome or 'running').replace('_', ' ')}, {one.started_at:%Y-%m-%d %H:%M:%S}"
        f"{ended} UTC\n  by {one.requested_by}, {one.origin}\n  operation {one.id}"
        + (f"\n  flow run {one.flow_run_id}" if one.flow_run_id else ""),
        highlight=False,
    )
    for step in steps:
        console.print(step_line(step), soft_wrap=True)
    if one.error:
        console.print(Text(one.error, style="red"))
