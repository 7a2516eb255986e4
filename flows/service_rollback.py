"""service-rollback: an older release, which is still on the hosts, serves again.

Changes: the link, the unit and the service's process; no code is sent.
Refuses: a release that a host does not have any more.
If it stops half-way: run it again; it goes back to the same release.
"""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas import State

from quoracy.operation.lease import Report
from quoracy.operation.subject import Subject
from quoracy.services.rollback import RollbackWanted, open_service_rollback
from tasks.run import settled
from tasks.service import require_usable, run_service


def _run_name() -> str:
    from prefect.runtime import flow_run

    wanted = flow_run.parameters
    to = f" to {wanted['to']}" if wanted["to"] else ""
    return f"roll back {wanted['service']}{to}{' (dry run)' if wanted['dry_run'] else ''}"


@flow(name="service-rollback", flow_run_name=_run_name, persist_result=False, retries=0)
def service_rollback(service: str, project: str, to: str = "", dry_run: bool = False) -> State[Any]:
    """Let an older release of a service serve again.

    Args:
        service: Name of the service: its directory below deployments/.
        project: Directory that holds deployments/: its whole path, on the machine where this runs.
        to: The release, or the beginning of its ID; empty is the one that served before.
        dry_run: Show the plan and stop.
    """
    wanted = RollbackWanted(service, project, to, dry_run)
    return settled(str(Subject("service", service)), lambda: _roll_back(wanted))


def _roll_back(wanted: RollbackWanted) -> Report:
    require_usable(wanted.service, wanted.project)
    with open_service_rollback(wanted) as rollback:
        return run_service(rollback)
