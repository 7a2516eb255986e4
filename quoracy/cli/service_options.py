"""Options that the verbs on services share."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from quoracy.errors import QuoracyError


def known_services(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of the project's services, for shell completion; none when it cannot be read."""
    from quoracy.services.project import service_names

    # Whatever was said here would land in the middle of a half-typed command line.
    with contextlib.suppress(QuoracyError):
        project = Path(ctx.params.get("project") or ".")
        return [name for name in service_names(project) if name.startswith(incomplete)]
    return []


ServiceName = Annotated[
    str, typer.Argument(help="Name of the service.", autocompletion=known_services)
]
ServiceOrAll = Annotated[
    str | None,
    typer.Argument(metavar="NAME", help="Name of the service.", autocompletion=known_services),
]
Project = Annotated[
    Path,
    typer.Option(
        "--project", help="Directory that holds deployments/.", show_default="the current directory"
    ),
]
All = Annotated[bool, typer.Option("--all", help="All services of the project that carry code.")]
NoBuild = Annotated[
    bool, typer.Option("--no-build", help="Ship what lies in the source, without building.")
]
Force = Annotated[
    bool, typer.Option("--force", help="Make and switch to a new release though nothing changed.")
]
Verify = Annotated[
    bool, typer.Option("--verify", help="Compare the files on the hosts with what was shipped.")
]
To = Annotated[
    str,
    typer.Option(
        "--to", metavar="RELEASE", help="A release, or how its ID begins; see `service releases`."
    ),
]
HostOption = Annotated[str, typer.Option("--host", help="This host only.")]
Lines = Annotated[
    int, typer.Option("--lines", "-n", min=1, max=10_000, help="How many lines of each host.")
]
