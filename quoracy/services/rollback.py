"""service-rollback put together: config of the project, facts from the hosts, plan, and the loop."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from quoracy.db.operations import changing_operations
from quoracy.db.session import Database
from quoracy.home import Home
from quoracy.operation.operation import open_controller
from quoracy.operation.plan import Plan
from quoracy.services.facts_site import ServiceFacts
from quoracy.services.gather import service_pool
from quoracy.services.operation import (
    ServiceOperation,
    mask_environment,
    settle_seconds,
)
from quoracy.services.plan.rollback import OPERATION, plan_service_rollback
from quoracy.services.plan.switching import is_canary_due
from quoracy.services.project import load_code_service
from quoracy.services.steps import SwitchRelease


@dataclass(frozen=True, slots=True)
class RollbackWanted:
    """The parameters of service-rollback.

    Attributes:
        project: Directory that holds `deployments/`; absolute.
        to: The release, or the beginning of its ID; "" is the one that served before.
    """

    service: str
    project: str
    to: str = ""
    dry_run: bool = False


@dataclass(slots=True, kw_only=True)
class ServiceRollback(ServiceOperation):
    """One service-rollback under way."""

    wanted: RollbackWanted
    chosen: dict[str, str]

    def decide(self, facts: ServiceFacts) -> Plan:
        """The plan as it is shown; which release is meant is decided once."""
        plan = self._plan(facts)
        switched = (step for _, step in plan.steps if isinstance(step, SwitchRelease))
        self.chosen |= {step.host: step.release for step in switched}
        return plan

    def decide_again(self, facts: ServiceFacts, shown: Plan, done: frozenset[str]) -> Plan:
        """What is left of it."""
        return self._plan(facts, canary=is_canary_due(shown, done))

    def _plan(self, facts: ServiceFacts, *, canary: bool = True) -> Plan:
        return plan_service_rollback(
            self.service, facts, self.wanted.to, self.chosen, canary=canary
        )


def chosen_before(db: Database, subject: str, hosts: Iterable[str]) -> dict[str, str]:
    """What a rollback that was cut off had chosen for each host: the same again finishes it.

    Without it the hosts that it had switched would be switched forward again. One that was about
    other hosts says nothing about these.
    """
    last = next(iter(changing_operations(db, subject)), None)
    if last is None or last.kind != OPERATION or last.outcome not in (None, "failed", "stopped"):
        return {}
    steps = json.loads(last.plan)["steps"]
    switches = (one for one in steps if one["name"] == SwitchRelease.name)
    # A version that wrote no fields into its plans has left no choice.
    chosen = {one["host"]: one["release"] for one in switches if "release" in one}
    return chosen if chosen.keys() == set(hosts) else {}


@contextmanager
def open_service_rollback(
    wanted: RollbackWanted, home: Home | None = None
) -> Iterator[ServiceRollback]:
    """Read the config, and hold the hosts' connections while the block runs.

    Raises:
        UsageError: The service is unknown or carries no code.
    """
    service = load_code_service(wanted.project, wanted.service).service
    mask_environment(service)
    hosts = [host.name for host in service.hosts]
    with open_controller(home) as (at_home, db), service_pool(service, at_home) as pool:
        yield ServiceRollback(
            subject=service.subject,
            settle_s=settle_seconds(service),
            pool=pool,
            home=at_home,
            db=db,
            dry_run=wanted.dry_run,
            service=service,
            wanted=wanted,
            chosen={} if wanted.to else chosen_before(db, service.subject, hosts),
        )
