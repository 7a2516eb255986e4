"""An operation on a service: its hosts are asked for releases, its steps act on a site."""

from __future__ import annotations

import contextvars
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from quoracy.errors import ForwardingForbidden
from quoracy.hosts.pool import HostPool
from quoracy.operation.guard import Guard
from quoracy.operation.lease import Leased
from quoracy.operation.operation import Operation
from quoracy.operation.plan import Group, Plan
from quoracy.operation.step import Step
from quoracy.operation.verdict import Verdict, require
from quoracy.redact import remember
from quoracy.services.apply import COPY_S, apply_service_step
from quoracy.services.checks import HTTP_PORT
from quoracy.services.facts_site import ServiceFacts
from quoracy.services.gather import gather_service
from quoracy.services.plan.refusals import forwarding_forbidden
from quoracy.services.plan.request import RedeployRequest
from quoracy.services.site import Code, ServiceSite
from quoracy.services.spec import Service
from quoracy.services.steps import AwaitService
from quoracy.services.times import Times

ApplyStep = Callable[[Step, ServiceSite], str]
AskHosts = Callable[[Service, str, HostPool], ServiceFacts]


@dataclass(slots=True, kw_only=True)
class ServiceOperation(Operation[ServiceFacts]):
    """One operation on a service.

    Attributes:
        ask_hosts: Gathers the facts; the flow puts a task here.
        apply_step: Carries out a step; the flow puts a task here.
        request: What is to run, once the hosts have been asked; None in a rollback.
    """

    service: Service
    code: Code | None = None
    request: RedeployRequest | None = None
    ask_hosts: AskHosts = gather_service
    apply_step: ApplyStep = apply_service_step

    def ask(self) -> ServiceFacts:
        """Ask all hosts."""
        source = self.code.scanned.manifest.digest if self.code else ""
        return self.ask_hosts(self.service, source, self.pool)

    def fences(self, facts: ServiceFacts) -> dict[str, int]:
        """The fencing number that each host has seen."""
        heard = facts.heard.items()
        return {name: one.host.guard.fence for name, one in heard if one.host.guard}

    def work(self, lease: Leased, guard: Guard, shown: Plan) -> ServiceWork:
        """What the loop asks of the operation."""
        return ServiceWork(self, lease, guard, shown)


class ServiceWork:
    """The loop's view of an operation on a service that holds the lease.

    Args:
        operation: What is under way.
        lease: Under which it acts.
        guard: What it presents to the hosts.
        shown: The plan that is applied.
    """

    def __init__(
        self, operation: ServiceOperation, lease: Leased, guard: Guard, shown: Plan
    ) -> None:
        self._operation = operation
        self._lease = lease
        self._guard = guard
        self._shown = shown
        self._done: set[str] = set()
        self._site: ServiceSite | None = None

    def look(self) -> Plan:
        """Plan anew, on facts that are fresh; before anything is changed, the gate's way is tried.

        Raises:
            Refused: A host that is to be switched lets nobody ask the service.
        """
        facts = self._tried() if self._site is None else self._operation.fresh_facts()
        plan = self._operation.decide_again(facts, self._shown, frozenset(self._done))
        self._site = self._site or self._open_site(facts)
        return plan

    def _tried(self) -> ServiceFacts:
        """The first look, and beside it, so that it takes no time, whether the gate can ask."""
        with ThreadPoolExecutor(1, "forwarding") as beside:
            asked = beside.submit(contextvars.copy_context().run, self._forbidden)
            facts = self._operation.fresh_facts()
            require(asked.result())
        return facts

    def _forbidden(self) -> list[Verdict]:
        """The hosts that are to be switched, and whose sshd forbids to forward.

        Whatever else goes wrong there is told by the look.
        """
        port = self._operation.service.port or HTTP_PORT
        names = {step.host for _, step in self._shown.steps if isinstance(step, AwaitService)}
        answers = self._operation.pool.each(lambda host: host.require_forwarding(port), names)
        return [
            forwarding_forbidden(name, answer.what, answer.next_step)
            for name, answer in answers.items()
            if isinstance(answer, ForwardingForbidden)
        ]

    def _open_site(self, facts: ServiceFacts) -> ServiceSite:
        """As the hosts were under the lease, before anything was changed."""
        operation = self._operation
        return ServiceSite(
            subject=operation.subject,
            settle_s=operation.settle_s,
            pool=operation.pool,
            home=operation.home,
            db=operation.db,
            guard=self._guard,
            stamp=self._lease.operation_id,
            resolvers=operation.resolvers,
            service=operation.service,
            code=operation.code,
            request=operation.request,
            found=facts.heard,
            log=operation.log,
            times=Times(operation.service, operation.pool, facts.heard, int(time.time())),
        )

    def gate(self, group: Group) -> None:
        """Nothing stands against a switch: the gate of a service comes after it."""

    def apply(self, step: Step) -> str:
        """Carry out one step; what was seen before it is forgotten."""
        assert self._site is not None, "the loop looks before it acts"
        self._operation.seen = None
        return self._operation.apply_step(step, self._site)

    def enter(self, group: Group, body: Callable[[], None]) -> None:
        """Run the group as part of the run history."""
        self._operation.enter_group(group, body)
        self._done.add(group.title)

    def approve(self, done: Group, left: tuple[Group, ...]) -> bool:  # noqa: ARG002
        """Nobody is asked between hosts."""
        return False


def mask_environment(service: Service) -> None:
    """Hooks and the service's own log, which failures quote, may show its environment."""
    for value in service.environment.values():
        if isinstance(value, str) and not value.isdigit():
            remember(value)


def settle_seconds(service: Service) -> int:
    """Seconds after which none of the service's scripts goes on any more."""
    wanted = service.redeploy
    longest = [max(wanted.stop_timeout, 90) + 60, COPY_S]
    if wanted.pre_deploy_hook or wanted.post_deploy_hook:
        longest.append(wanted.hook_timeout)
    if wanted.build_on == "host" or wanted.dependencies_on == "host":
        longest.append(wanted.build_timeout)
    return int(max(longest)) + 30
