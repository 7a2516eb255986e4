"""An operation on a service as a run shows it."""

from __future__ import annotations

from pathlib import Path

from prefect.logging import get_run_logger

from quoracy.effects.service_gather import gather_service
from quoracy.effects.service_operation import ServiceOperation
from quoracy.effects.service_site import ServiceSite
from quoracy.effects.service_steps import apply_service_step
from quoracy.errors import UsageError
from quoracy.facts.service_site import ServiceFacts
from quoracy.operate.output import show_output
from quoracy.operate.run import Report
from quoracy.plan.plan import Step
from quoracy.plan.service_markdown import releases_markdown
from quoracy.remote.pool import HostPool
from quoracy.spec.service import Service
from tasks.operation import look_visibly, run_visibly, take_visibly
from tasks.run import publish

_RELEASES = "which releases each host has"


def require_absolute(project: str) -> None:
    """Refuse a path that would be looked for where the runner happens to work.

    Raises:
        UsageError: The project's path is relative, or begins with `~`.
    """
    if not Path(project).is_absolute():
        raise UsageError(
            f"the project {project!r} is not named by its whole path",
            next_step="name the directory that holds deployments/ from / on, "
            "as it is called where the runner works",
        )


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
