"""`quoracy history`: who did what, when, and how it ended."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from quoracy.cli.options import AsJson, known_clusters


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
    """Show the operations of the past from the journal."""
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
    table = Table("ID", "when (UTC)", "who", "from", "what", "outcome", show_edge=False)
    for one in found:
        when = f"{one.started_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(
            one.id[:8], when, one.requested_by, one.origin, one.title, one.outcome or "running"
        )
    console.print(table)
    if steps:
        _show_steps(console, steps)
    if operation and found[0].error:
        console.print(found[0].error, style="red", highlight=False)


def _show_steps(console: Console, steps: list) -> None:  # type: ignore[type-arg]
    from quoracy.cli.follow import step_line

    for step in steps:
        if step.ended_at is None:
            console.print(
                f"  {step.host or 'controller'}: {step.title} ({step.state})", style="dim"
            )
        else:
            console.print(f"  {step_line(step)}", highlight=False)
