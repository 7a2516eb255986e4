"""`quoracy doctor`: what this machine lacks, and what to do about it."""

from __future__ import annotations

import typer
from rich.console import Console


def doctor() -> None:
    """Check this machine: home, database, Prefect server, and what practice hosts need."""
    from quoracy.db.session import open_database
    from quoracy.errors import QuoracyError
    from quoracy.home import load_home
    from quoracy.lab.machine import missing
    from quoracy.services import server_url

    console = Console()
    problems = 0
    home = load_home()
    console.print(f"home: {home.path}", highlight=False)
    for name, check in (
        ("database", lambda: open_database(home.database_url).close()),
        ("Prefect server", lambda: server_url(home)),
    ):
        try:
            check()
            console.print(f"[green]✓[/] {name}", highlight=False)
        except QuoracyError as error:
            problems += 1
            console.print(f"[red]✗[/] {name}: {error}", highlight=False)
    lacking = missing()
    for lack in lacking:
        console.print(f"[yellow]·[/] practice hosts: {lack}", highlight=False)
    if not lacking:
        console.print("[green]✓[/] practice hosts can run here", highlight=False)
    raise typer.Exit(1 if problems else 0)
