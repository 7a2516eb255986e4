"""operation-rollback: put back what the last operation of a cluster has left half done.

Changes: the member that was worked on when it stopped; in a create, all hosts. Nothing else.
Refuses: hosts to be put back that cannot be asked, lost quorum, a create that serves already.
If it stops half-way: run it again; it goes on from the journal and from what the hosts say.
"""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas import State

from quoracy.etcd.rollback import open_etcd_rollback
from quoracy.operation.lease import Report
from tasks.etcd import run_etcd
from tasks.run import settled


def _run_name() -> str:
    from prefect.runtime import flow_run

    wanted = flow_run.parameters
    return f"roll back {wanted['cluster']}{' (dry run)' if wanted['dry_run'] else ''}"


@flow(name="operation-rollback", flow_run_name=_run_name, persist_result=False, retries=0)
def operation_rollback(
    cluster: str, dry_run: bool = False, allow_downtime: bool = False
) -> State[Any]:
    """Put back what the last operation of a cluster was interrupted at; nothing else is touched.

    Args:
        cluster: Name of the cluster whose last operation failed or was killed.
        dry_run: Show the plan and stop.
        allow_downtime: Restart members of a cluster of one or two.
    """
    return settled(cluster, lambda: _roll_back(cluster, dry_run, allow_downtime))


def _roll_back(cluster: str, dry_run: bool, allow_downtime: bool) -> Report:
    """Journal, facts, plan, steps, checks, audit; `tasks` gives each effect its place in the run."""
    with open_etcd_rollback(cluster, dry_run=dry_run, allow_downtime=allow_downtime) as rollback:
        return run_etcd(rollback)
