"""service-redeploy: bring a service's code to its hosts, and back when it is not healthy there.

Changes: a new release beside the old one on each host, then the link, the unit and the service's process.
Refuses: a port that something else holds, a missing runtime, files that nobody has named at the first run.
If it stops half-way: run it again; what is staged already is not sent again.
"""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas import State

from quoracy.operation.lease import Report
from quoracy.operation.subject import Subject
from quoracy.services.redeploy import Wanted, open_service_redeploy
from tasks.run import settled
from tasks.service import require_usable, run_service


def _run_name() -> str:
    from prefect.runtime import flow_run

    dry = " (dry run)" if flow_run.parameters["dry_run"] else ""
    return f"redeploy {flow_run.parameters['service']}{dry}"


@flow(name="service-redeploy", flow_run_name=_run_name, persist_result=False, retries=0)
def service_redeploy(
    service: str,
    project: str,
    no_build: bool = False,
    force: bool = False,
    verify: bool = False,
    dry_run: bool = False,
) -> State[Any]:
    """Bring the code of a service to its hosts: first one host, then the others in batches.

    Args:
        service: Name of the service: its directory below deployments/.
        project: Directory that holds deployments/: its whole path, on the machine where this runs.
        no_build: Ship what an earlier build has left in the code, without building.
        force: Make and switch to a new release where nothing has changed.
        verify: Compare the files on the hosts with what was shipped to them.
        dry_run: Show the plan and stop.
    """
    wanted = Wanted(service, project, no_build, force, dry_run, verify)
    return settled(str(Subject("service", service)), lambda: _redeploy(wanted))


def _redeploy(wanted: Wanted) -> Report:
    """Config, code, facts, plan, steps, gate, audit."""
    require_usable(wanted.service, wanted.project)
    with open_service_redeploy(wanted) as redeploy:
        return run_service(redeploy)
