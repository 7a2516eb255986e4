"""An operation on a service as a run shows it."""

from __future__ import annotations

from quoracy.effects.service_gather import gather_service
from quoracy.effects.service_operation import ServiceOperation
from quoracy.effects.service_site import ServiceSite
from quoracy.effects.service_steps import apply_service_step
from quoracy.facts.service_site import ServiceFacts
from quoracy.operate.run import Report
from quoracy.plan.plan import Step
from quoracy.remote.pool import HostPool
from quoracy.spec.service import Service
from tasks.operation import look_visibly, run_visibly, take_visibly


def run_service(operation: ServiceOperation) -> Report:
    """Run the operation, its looks and steps as tasks."""
    operation.ask_hosts = gather_facts
    operation.apply_step = apply_step
    return run_visibly(operation)


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
