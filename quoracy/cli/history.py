"""`quoracy history`: who did what, when, and how it ended."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table
from rich.text import Text

from quoracy.cli.options import AsJson, known_clusters
from quoracy.cli.screen import Console
from quoracy.errors import UsageError

if TYPE_CHECKING:
    from quoracy.db.audit import Record
    from quoracy.db.session import Database


def history(
    cluster: Annotated[
        str | None, typer.Argument(help="Only this cluster.", autocompletion=known_clusters)
    ] = None,
    operation: Annotated[
        str | None, typer.Option("--operation", help="All about one operation, by its ID.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="How many, newest first.  [default: 20]"),
    ] = None,
    export: Annotated[
        bool, typer.Option("--export", help="All operations as JSON lines, oldest first.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show who did what, when, and how it ended."""
    from quoracy.cli.show import show_json
    from quoracy.cli.story import show_story
    from quoracy.db.audit import all_records, latest_records, record_of
    from quoracy.db.session import open_database
    from quoracy.home import load_home

    _require_sense(cluster, operation, limit, export=export)
    db = open_database(load_home().database_url)
    try:
        if cluster is not None:
            _require_heard_of(db, cluster)
        if export:
            _export(all_records(db, cluster))
            return
        found = (
            [record_of(db, operation)] if operation else latest_records(db, cluster, limit or 20)
        )
    finally:
        db.close()
    if as_json:
        show_json([record.as_dict() for record in found])
    elif operation:
        show_story(found[0], Console())
    else:
        _show_all(found, Console())


def _require_sense(
    cluster: str | None, operation: str | None, limit: int | None, *, export: bool
) -> None:
    if export and operation:
        raise UsageError(
            "--export gives all operations, --operation only one",
            next_step="for one as JSON: `quoracy history --operation ID --json`",
        )
    if operation == "":
        raise UsageError(
            "--operation is empty", next_step="`quoracy history` shows the IDs of operations"
        )
    if operation and (cluster or limit):
        raise UsageError(
            "--operation alone says which one",
            next_step="leave out the cluster's name and --limit",
        )
    if export and limit:
        raise UsageError(
            "--export gives all operations, --limit the newest",
            next_step="leave out one of them; for the newest as JSON: `quoracy history --limit 50 --json`",
        )


def _require_heard_of(db: Database, cluster: str) -> None:
    """A forgotten cluster still has its history; one that never was is a mistyped name."""
    from quoracy.db.audit import latest_records
    from quoracy.db.clusters import get_cluster

    if not latest_records(db, cluster, 1):
        get_cluster(db, cluster)


def _export(records: Iterable[Record]) -> None:
    """One line per operation, written as it is read."""
    for record in records:
        sys.stdout.write(json.dumps(record.as_dict(), separators=(",", ":")) + "\n")


def _show_all(records: Sequence[Record], console: Console) -> None:
    from quoracy.cli.story import OUTCOME_COLOURS, outcome_of

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
    for record in records:
        one, outcome = record.operation, outcome_of(record)
        table.add_row(
            one.id[:8],
            f"{one.started_at:%Y-%m-%d %H:%M}",
            one.requested_by,
            Text(outcome.replace("_", " "), style=OUTCOME_COLOURS.get(outcome, "red")),
            one.title,
        )
    console.print(table)
