"""`quoracy plan`: look and show; needs no server and changes nothing."""

from __future__ import annotations

import typer

from quoracy.cli.options import (
    AllowBadVersion,
    AllowDowntime,
    AsJson,
    ChosenAction,
    ChosenOption,
    ClusterName,
    Version,
)
from quoracy.cli.screen import Console, say
from quoracy.cli.show import show_json, show_plan
from quoracy.etcd.params import Action

plan_app = typer.Typer(no_args_is_help=True)
PENDING, REFUSED = 4, 3


@plan_app.command("etcd-deploy")
def plan_etcd_deploy(
    cluster: ClusterName,
    action: ChosenAction = Action.DEPLOY,
    version: Version = None,
    deploy_option: ChosenOption = None,
    allow_downtime: AllowDowntime = False,
    allow_bad_version: AllowBadVersion = False,
    as_json: AsJson = False,
) -> None:
    """Show what etcd-deploy would do.

    Exit code 0 nothing to do, 4 changes pending, 3 refused.
    """
    from quoracy.etcd.deploy import Wanted, open_etcd_deploy

    wanted = Wanted(
        cluster=cluster,
        action=action,
        version=version,
        option=deploy_option,
        dry_run=True,
        allow_downtime=allow_downtime,
        allow_bad_version=allow_bad_version,
    )
    with open_etcd_deploy(wanted) as deploy:
        plan = deploy.plan()
    if as_json:
        show_json(plan.as_dict())
    else:
        show_plan(plan, Console())
        if plan.groups:
            say(f"plan ID {plan.digest}")
    if plan.refused:
        raise typer.Exit(REFUSED)
    if plan.groups:
        raise typer.Exit(PENDING)
