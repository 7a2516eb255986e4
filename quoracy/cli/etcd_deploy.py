"""`quoracy etcd-deploy`: create, upgrade or change an etcd cluster, and watch it happen."""

from __future__ import annotations

from typing import Any

from quoracy.cli.options import (
    AllowBadVersion,
    AllowDowntime,
    AsJson,
    ChosenAction,
    ChosenOption,
    ClusterName,
    DryRun,
    PauseAfterFirst,
    PlanId,
    Submit,
    Version,
    WithoutPrefect,
    Yes,
)
from quoracy.etcd.params import Action


def etcd_deploy(
    cluster: ClusterName,
    action: ChosenAction = Action.DEPLOY,
    version: Version = None,
    deploy_option: ChosenOption = None,
    dry_run: DryRun = False,
    plan_id: PlanId = "",
    pause_after_first: PauseAfterFirst = False,
    yes: Yes = False,
    allow_downtime: AllowDowntime = False,
    allow_bad_version: AllowBadVersion = False,
    submit: Submit = False,
    without_prefect: WithoutPrefect = False,
    as_json: AsJson = False,
) -> None:
    """Create, upgrade or change an etcd cluster.

    Creates what is not there, rolls what differs one member at a time, leaves alone what is as
    wanted. Exit code 0 done or nothing to do, 1 failed, 2 usage, 3 refused, 4 changes pending.
    """
    from quoracy.cli.run_operation import Way, run_operation
    from quoracy.etcd.deploy import Wanted, open_etcd_deploy, require_known

    wanted = Wanted(
        cluster=cluster,
        action=action,
        version=version,
        option=deploy_option,
        dry_run=dry_run,
        allow_downtime=allow_downtime,
        allow_bad_version=allow_bad_version,
        pause_after_first=pause_after_first and not yes,
        plan_id=plan_id,
    )
    way = Way(submit, without_prefect, as_json, asks=wanted.pause_after_first)
    raise run_operation(
        "etcd-deploy",
        _parameters(wanted),
        way,
        lambda home: open_etcd_deploy(wanted, home),
        lambda: require_known(wanted),
    )


def _parameters(wanted: Any) -> dict[str, Any]:
    """The same, as the flow's parameters: plain and few."""
    return {
        "cluster": wanted.cluster,
        "action": wanted.action.value,
        "version": wanted.version or "",
        "deploy_option": wanted.option.value if wanted.option else None,
        "dry_run": wanted.dry_run,
        "plan_id": wanted.plan_id,
        "options": {
            "allow_downtime": wanted.allow_downtime,
            "allow_bad_version": wanted.allow_bad_version,
            "pause_after_first": wanted.pause_after_first,
        },
    }
