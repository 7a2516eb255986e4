"""The one place where errors become messages and exit codes."""

from __future__ import annotations

import sys

import typer

from quoracy.errors import QuoracyError
from quoracy.redact import redact
from quoracy.startup import collect_nothing_yet


def run(app: typer.Typer, name: str) -> None:
    """Run a command line; a user's mistake ends in a message, never in a traceback."""
    collect_nothing_yet()
    try:
        app()
    except QuoracyError as error:
        sys.stderr.write(f"{name}: {redact(str(error))}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write(f"{name}: stopped\n")
        sys.exit(1)
