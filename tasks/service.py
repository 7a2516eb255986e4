"""An operation on a service as a run shows it."""

from __future__ import annotations

from pathlib import Path

from prefect.logging import get_run_logger

from quoracy.errors import UsageError
from quoracy.home import load_home
from quoracy.hosts.pool import HostPool
from quoracy.operation.lease import Report
from quoracy.operation.output import show_output
from quoracy.operation.step import Step
from quoracy.operation.terminal import user_at_hand
from quoracy.services.apply import apply_service_step
from quoracy.services.facts_site import ServiceFacts
from quoracy.services.gather import gather_service
from quoracy.services.operation import ServiceOperation
from quoracy.services.plan.markdown import releases_markdown
from quoracy.services.project import load_code_service
from quoracy.services.project_trust import require_listed, require_own
from quoracy.services.site import ServiceSite
from quoracy.services.spec import Service
from tasks.operation import look_visibly, run_visibly, take_visibly
from tasks.run import publish

_RELEASES = "which releases each host has"


def require_usable(service: str, project: str) -> None:
    """Refuse a path that would be looked for where the runner works, and code that is not the runner's own.

    A terminal's own `--project` is free: who is there may run anything as himself.

    Raises:
        UsageError: The project's path is relative, or begins with `~`; or there is no such service.
        Refused: The run came through Prefect's API, and the project is not listed or not safe.
    """
    if not Path(project).is_absolute():
        raise UsageError(
            f"the project {project!r} is not named by its whole path",
            next_step="name the directory that holds deployments/ from / on, "
            "as it is called where the runner works",
        )
    if user_at_hand() is None:
        require_listed(load_home(), project)
        require_own(load_code_service(project, service))


def run_service(operation: ServiceOperation) -> Report:
    """Run the operation, its looks and steps as tasks."""
    operation.ask_hosts = gather_facts
    operation.apply_step = apply_step
    logger = get_run_logger()

    def log(line: str) -> None:
        logger.info(line)
        show_output(line)

    operation.log = log
    report = run_visibly(operation)
    if operation.seen is not None:
        publish("releases", operation.subject, releases_markdown(operation.seen.facts), _RELEASES)
    return report


def gather_facts(service: Service, source: str, pool: HostPool) -> ServiceFacts:
    """Ask all hosts of the service."""
    return look_visibly(
        service.subject,
        lambda: gather_service(service, source, pool),
        lambda facts: f"{len(facts.heard)} of {len(facts.hosts)} hosts have answered",
    )


def apply_step(step: Step, site: ServiceSite) -> str:
    """Carry out one step."""
    return take_visibly(step, lambda: apply_service_step(step, site))
