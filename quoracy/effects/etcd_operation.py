"""What all operations on an etcd cluster have in common: look, plan, hold the cluster, apply, report."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from quoracy.checks.verdict import Verdict, require
from quoracy.db.holder import this_process
from quoracy.db.lease import get_lease, is_live
from quoracy.db.operations import changing_operations
from quoracy.db.session import Database, open_database
from quoracy.effects.claims import Claims
from quoracy.effects.etcd_steps import apply_etcd_step
from quoracy.effects.etcd_work import EtcdWork
from quoracy.effects.gather import gather_etcd
from quoracy.effects.site import EtcdSite, let_settle
from quoracy.facts.etcd_cluster import EtcdFacts
from quoracy.home import Home, load_home
from quoracy.operate.approval import Approve
from quoracy.operate.run import Asked, Report, apply_plan, leased, record_without_acting
from quoracy.plan.plan import Group, Plan, Step
from quoracy.remote.pool import HostPool
from quoracy.secrets import DEFAULT, Resolver
from quoracy.spec.etcd import EtcdCluster

ApplyStep = Callable[[Step, EtcdSite], str]
AskHosts = Callable[[EtcdCluster, HostPool], EtcdFacts]
EnterGroup = Callable[[Group, Callable[[], None]], None]


def _enter_plainly(group: Group, body: Callable[[], None]) -> None:  # noqa: ARG001
    body()


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at the hosts found, and when, by a clock that nobody sets."""

    facts: EtcdFacts
    at: float

    def is_younger_than(self, seconds: float) -> bool:
        """Whether it was asked for so recently."""
        return time.monotonic() - self.at <= seconds


@dataclass(slots=True, kw_only=True)
class EtcdOperation(ABC):
    """One operation under way: what it works with, who carries its steps, and what it decides.

    Attributes:
        ask_hosts: Gathers the facts; the flow puts a task here.
        ask_within_step: Gathers the facts in the middle of a step, which is a task already.
        apply_step: Carries out a step; the flow puts a task here.
        enter_group: Runs a group; the flow puts a subflow here.
        approve: Asks somebody after the first member; None when nobody is to be asked.
        seen: What the last look at the hosts found; None once something was changed after it.
    """

    cluster: EtcdCluster
    pool: HostPool
    home: Home
    db: Database
    dry_run: bool = False
    allow_downtime: bool = False
    ask_hosts: AskHosts = gather_etcd
    ask_within_step: AskHosts = gather_etcd
    apply_step: ApplyStep = apply_etcd_step
    enter_group: EnterGroup = _enter_plainly
    approve: Approve | None = None
    resolvers: Mapping[str, Resolver] = field(default_factory=lambda: DEFAULT)
    seen: Seen | None = None

    @abstractmethod
    def decide(self, facts: EtcdFacts) -> Plan:
        """The plan at the entry, as it is shown."""

    @abstractmethod
    def decide_again(self, facts: EtcdFacts, shown: Plan, done: frozenset[str]) -> Plan:
        """What is left of the shown plan, under the lease and after each of the groups done."""

    def last_checks(self, plan: Plan) -> list[Verdict]:  # noqa: ARG002
        """What is checked right before a plan is applied, beside what it says itself."""
        return []

    def gather(self) -> EtcdFacts:
        """Ask all hosts, one round trip each."""
        return self._remember(self.ask_hosts)

    def look(self) -> EtcdFacts:
        """Ask all hosts in the middle of a step."""
        return self._remember(self.ask_within_step)

    def _remember(self, ask: AskHosts) -> EtcdFacts:
        at = time.monotonic()
        facts = ask(self.cluster, self.pool)
        self.seen = Seen(facts, at)
        return facts

    def plan(self) -> Plan:
        """Look and decide."""
        self._let_the_dead_finish()
        return self.decide(self.gather())

    def run(self, plan: Plan, asked: Asked) -> Report:
        """Apply the plan, or record why nothing is applied.

        Raises:
            Refused: A check stands against the plan.
        """
        if plan.groups and not plan.refused:
            plan = replace(plan, verdicts=(*plan.verdicts, *self.last_checks(plan)))
        if plan.refused:
            record_without_acting(self.db, plan, asked, "refused")
            require(plan.verdicts)
        if not plan.groups:
            return record_without_acting(self.db, plan, asked, "nothing_to_do")
        if self.dry_run:
            return record_without_acting(self.db, plan, asked, "dry_run")
        needed = frozenset(step.host for _, step in plan.steps if step.host)
        fence, claims = self._highest_fence(), Claims(self.cluster, self.pool, needed)
        with leased(self.db, plan, asked, least_fence=fence, claim=claims.take) as operation:
            work = EtcdWork(self, operation, claims.guard(operation), plan)
            try:
                return apply_plan(self.db, plan, work, operation)
            finally:
                claims.let_go(operation)

    def _let_the_dead_finish(self) -> None:
        """Wait for what a dead process has left running on the hosts: facts seen meanwhile go stale."""
        lease = get_lease(self.db, self.cluster.name)
        if lease is not None and is_live(lease, this_process(), self.db.now()):
            return
        last = changing_operations(self.db, self.cluster.name)[:1]
        if any(one.outcome not in ("done", "nothing_to_do") for one in last):
            self.pool.each(lambda host: let_settle(self.cluster, host))

    def _highest_fence(self) -> int:
        heard = self.seen.facts.heard.values() if self.seen else ()
        return max((f.host.guard.fence for f in heard if f.host.guard), default=0)


@contextmanager
def open_controller(home: Home | None) -> Iterator[tuple[Home, Database]]:
    """The controller's places and its database, while the block runs."""
    home = home or load_home()
    db = open_database(home.database_url)
    try:
        yield home, db
    finally:
        db.close()
