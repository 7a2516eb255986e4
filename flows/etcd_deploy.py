"""etcd-deploy: create what is not there, roll what differs, leave alone what is as wanted.

Changes: users, files and units on the hosts; restarts members one at a time, leader last.
Refuses: topology changes, unsafe version steps, lost quorum, certificates that expired or differ.
If it stops half-way: run it again; it goes on from what the hosts say.
"""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas import State
from pydantic import BaseModel, Field

from quoracy.etcd.deploy import Wanted, open_etcd_deploy
from quoracy.etcd.params import Action, DeployOption
from quoracy.operation.approval import approver_at_hand
from quoracy.operation.lease import Report
from tasks.approval import approve_in_ui
from tasks.etcd import run_etcd
from tasks.run import settled


class DeployOptions(BaseModel):
    """Permissions that a deploy does not take by itself, and a pause to look at it."""

    allow_downtime: bool = Field(
        False, title="Allow downtime", description="Restart members of a cluster of one or two."
    )
    allow_bad_version: bool = Field(
        False, title="Allow a bad version", description="Deploy a version that is known to be bad."
    )
    pause_after_first: bool = Field(
        False,
        title="Pause after the first member",
        description="Show what became of the first member, and wait until someone approves the rest.",
    )
    approved: bool = Field(
        False, title="Approved", description="Go on after the first member without asking."
    )


def _run_name() -> str:
    from prefect.runtime import flow_run

    wanted = flow_run.parameters
    version = f" to {wanted['version']}" if wanted["version"] else ""
    dry = " (dry run)" if wanted["dry_run"] else ""
    return f"{Action(wanted['action'])} {wanted['cluster']}{version}{dry}"


@flow(name="etcd-deploy", flow_run_name=_run_name, persist_result=False, retries=0)
def etcd_deploy(
    cluster: str,
    action: Action = Action.DEPLOY,
    version: str = "",  # None would be a switch of types in the form
    deploy_option: DeployOption | None = None,
    dry_run: bool = False,
    plan_id: str = "",
    options: DeployOptions = DeployOptions(),  # noqa: B008  immutable in use, and Prefect shows it in the form
) -> State[Any]:
    """Create an etcd cluster, or bring it to the wanted version, settings and unit, one member at a time.

    Args:
        cluster: Name of a cluster recorded with `quoracy cluster apply`.
        action: create fails when it exists, upgrade when it does not, deploy does what is needed.
        version: etcd version for this run, for example 3.5.30; leave it empty for the spec's.
        deploy_option: no_upgrade reports and applies nothing; force_create only where nothing is.
        dry_run: Show the plan and stop.
        plan_id: Digest of a plan that was looked at; the run is refused when the plan is another one.
        options: Permissions that a deploy does not take by itself, and a pause to look at it.
    """
    wanted = Wanted(
        cluster=cluster,
        action=action,
        version=version or None,
        option=deploy_option,
        dry_run=dry_run,
        allow_downtime=options.allow_downtime,
        allow_bad_version=options.allow_bad_version,
        pause_after_first=options.pause_after_first and not options.approved,
        plan_id=plan_id,
    )
    return settled(cluster, lambda: _deploy(wanted))


def _deploy(wanted: Wanted) -> Report:
    """Spec, facts, plan, steps, checks, audit; `tasks` gives each effect its place in the run."""
    with open_etcd_deploy(wanted) as deploy:
        if wanted.pause_after_first:
            deploy.approve = approver_at_hand() or approve_in_ui
        return run_etcd(deploy)
