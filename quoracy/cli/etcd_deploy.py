"""`quoracy etcd-deploy`: create, upgrade or change an etcd cluster, and watch it happen."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from quoracy.cli.options import (
    AllowBadVersion,
    AllowDowntime,
    AsJson,
    ChosenAction,
    ChosenOption,
    ClusterName,
    Version,
)
from quoracy.plan.etcd_deploy import Action


def etcd_deploy(
    cluster: ClusterName,
    action: ChosenAction = Action.DEPLOY,
    version: Version = None,
    deploy_option: ChosenOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Record the plan and stop.")] = False,
    allow_downtime: AllowDowntime = False,
    allow_bad_version: AllowBadVersion = False,
    submit: Annotated[
        bool, typer.Option("--submit", help="Hand it to the runner instead of running it here.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Create, upgrade or change an etcd cluster.

    Creates what is not there, rolls what differs one member at a time, leaves alone what is as
    wanted. Exit code 0 done or nothing to do, 1 failed, 2 usage, 3 refused, 4 changes pending.
    """
    from quoracy import submit as prefect_runs
    from quoracy.cli.follow import following
    from quoracy.cli.show import show_json
    from quoracy.db.session import open_database
    from quoracy.effects.etcd_deploy import known_cluster
    from quoracy.home import load_home

    home = load_home()
    db = open_database(home.database_url)
    try:
        known_cluster(db, cluster, version)
        url = prefect_runs.use_server(home)
        parameters: dict[str, Any] = {
            "cluster": cluster,
            "action": action.value,
            "version": version or "",
            "deploy_option": deploy_option.value if deploy_option else None,
            "dry_run": dry_run,
            "options": {"allow_downtime": allow_downtime, "allow_bad_version": allow_bad_version},
        }
        console = Console(stderr=as_json)
        with following(db, cluster, console=console):
            if submit:
                ended = prefect_runs.submit(home, "etcd-deploy", parameters)
            else:
                ended = prefect_runs.run_here("etcd-deploy", parameters)
    finally:
        db.close()
    link = f"{url}/runs/flow-run/{ended.flow_run_id}"
    if as_json:
        show_json(
            {
                "state": ended.state,
                "message": ended.message,
                "flow_run": link,
                "exit_code": ended.exit_code,
            }
        )
    else:
        colour = "green" if ended.exit_code in (0, 4) else "red"
        ending = Text(f"{ended.state}: ", style=colour).append(ended.message, style="default")
        console.print(ending)
        console.print(f"  {link}", style="dim", highlight=False, soft_wrap=True)
    raise typer.Exit(ended.exit_code)
