"""`quoracy up` and `quoracy down`: server, database, block types and runner on one machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from quoracy.cli.screen import say
from quoracy.errors import UsageError


def up(
    port: Annotated[
        int | None, typer.Option(help="Port on 127.0.0.1. Default: 4200, or a free one.")
    ] = None,
) -> None:
    """Start Prefect's server and runner here.

    That is all that the UI, schedules, the API and the verbs of this command need on one machine.
    """
    from quoracy.db.session import open_database
    from quoracy.home import load_home
    from quoracy.login import login_file
    from quoracy.prefect.server import require_login
    from quoracy.prefect.up import (
        RUNNER,
        SERVER,
        deployments_of,
        read_service,
        start_runner,
        start_server,
    )

    home = load_home()
    checkout = Path(__file__).parents[2]
    if not (checkout / "prefect.yaml").exists():
        raise UsageError(
            "the flows are not here: this is an installed library, not a checkout",
            next_step="run `quoracy up` from a checkout of Quoracy",
        )
    open_database(home.database_url).close()
    say("database: ready")
    server = read_service(home, SERVER)
    if server is None:
        say("server: starting (the first start takes up to half a minute)")
        server = start_server(home, port, checkout)
    else:
        require_login(server)
    say(f"server: {server.url}")
    if read_service(home, RUNNER) is None:
        start_runner(home, server.url, checkout)
    say(f"runner: serves {', '.join(sorted(deployments_of(checkout)))}")
    say(
        f"  open {server.url}, or run `quoracy etcd-deploy CLUSTER` or"
        " `quoracy service redeploy NAME`; stop with `quoracy down`\n"
        f"  the page asks for a password once: it is the line in {login_file(home)}"
    )


def down() -> None:
    """Stop what `quoracy up` has started.

    Runs under way end with it; running the same operation again takes up what is left.
    """
    from quoracy.home import load_home
    from quoracy.prefect.up import RUNNER, SERVER, stop

    home = load_home()
    for name in (RUNNER, SERVER):
        say(f"{name}: {'stopped' if stop(home, name) else 'was not running'}")
