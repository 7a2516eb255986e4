"""`quoracy doctor`: what this machine lacks, and what to do about it."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import typer
from rich.text import Text

from quoracy.cli.options import AsJson
from quoracy.cli.screen import Console
from quoracy.errors import QuoracyError
from quoracy.home import Home


def doctor(as_json: AsJson = False) -> None:
    """Say what this machine lacks.

    Home, database and Prefect server are needed for operations; practice hosts only for `lab`.
    """
    from quoracy.cli.show import show_json
    from quoracy.home import load_home

    home = load_home()
    problems = {name: _problem(check) for name, check in _checks(home).items()}
    lacking = _practice_hosts_lack()
    if as_json:
        show_json({"home": str(home.path), "problems": problems, "practice_hosts_lack": lacking})
    else:
        console = Console()
        console.print(Text(f"home: {home.path}"))
        for name, problem in problems.items():
            _show(console, name, problem, "red")
        _show(console, "practice hosts", "\n  ".join(lacking), "yellow")
    raise typer.Exit(1 if any(problems.values()) else 0)


def _practice_hosts_lack() -> list[str]:
    """What there must be for `quoracy lab`, which is part of the checkout alone."""
    try:
        machine = importlib.import_module("lab.machine")
    except ModuleNotFoundError:
        return ["a checkout of Quoracy: they are no part of what is installed"]
    lacking: list[str] = machine.missing()
    return lacking


def _checks(home: Home) -> dict[str, Callable[[], object]]:
    from quoracy.db.session import open_database
    from quoracy.prefect.server import require_login, server_url
    from quoracy.prefect.up import SERVER, read_service

    return {
        "database": lambda: open_database(home.database_url).close(),
        "Prefect server": lambda: server_url(home),
        "login of the Prefect server": lambda: require_login(read_service(home, SERVER)),
    }


def _problem(check: Callable[[], object]) -> str:
    """What is wrong; empty when nothing is."""
    try:
        check()
    except QuoracyError as error:
        return str(error)
    return ""


def _show(console: Console, name: str, problem: str, colour: str) -> None:
    mark = Text("✗ " if problem else "✓ ", style=colour if problem else "green")
    console.print(mark.append(f"{name}: {problem}" if problem else name, style="default"))
