"""What all operations have in common: look, plan, hold what is worked on, apply, report. Knows no etcd."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from quoracy.db.holder import this_process
from quoracy.db.lease import get_lease, highest_fence, is_live
from quoracy.db.operations import changing_operations
from quoracy.db.session import Database, open_database
from quoracy.home import Home, load_home
from quoracy.hosts.pool import HostPool
from quoracy.operation.approval import Approve
from quoracy.operation.claims import Claims
from quoracy.operation.fences import check_fences
from quoracy.operation.guard import Guard
from quoracy.operation.lease import Asked, Leased, Report, apply_plan, leased, record_without_acting
from quoracy.operation.loop import Work
from quoracy.operation.plan import Group, Plan
from quoracy.operation.site import let_settle
from quoracy.operation.verdict import Verdict, require
from quoracy.secrets import DEFAULT, Resolver

Facts = TypeVar("Facts")
EnterGroup = Callable[[Group, Callable[[], None]], None]

# Entering a group can block while the Prefect API is away; what was seen before it is stale then.
FRESH_SECONDS = 1.0


def _enter_plainly(group: Group, body: Callable[[], None]) -> None:  # noqa: ARG001
    body()


def _to_nobody(line: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Seen(Generic[Facts]):
    """What a look at the hosts found, and when, by a clock that nobody sets."""

    facts: Facts
    at: float

    def is_younger_than(self, seconds: float) -> bool:
        """Whether it was asked for so recently."""
        return time.monotonic() - self.at <= seconds


@dataclass(slots=True, kw_only=True)
class Operation(ABC, Generic[Facts]):
    """One operation under way: what it works with, and what it decides.

    Attributes:
        subject: What lease, journal and hosts know it by: the cluster's name, or `service:` and a name.
        settle_s: Seconds that the longest of its scripts may go on after its connection broke.
        enter_group: Runs a group; the flow puts a subflow here.
        log: Shows what builds and hooks say, as it comes.
        approve: Asks somebody after the first member; None when nobody is to be asked.
        seen: What the last look at the hosts found; None once something was changed after it.
    """

    subject: str
    settle_s: int
    pool: HostPool
    home: Home
    db: Database
    dry_run: bool = False
    enter_group: EnterGroup = _enter_plainly
    log: Callable[[str], None] = _to_nobody
    approve: Approve | None = None
    resolvers: Mapping[str, Resolver] = field(default_factory=lambda: DEFAULT)
    seen: Seen[Facts] | None = None

    @abstractmethod
    def decide(self, facts: Facts) -> Plan:
        """The plan at the entry, as it is shown."""

    @abstractmethod
    def decide_again(self, facts: Facts, shown: Plan, done: frozenset[str]) -> Plan:
        """What is left of the shown plan, under the lease and after each of the groups done."""

    @abstractmethod
    def ask(self) -> Facts:
        """Ask all hosts; the flow shows it as a task."""

    @abstractmethod
    def fences(self, facts: Facts) -> Mapping[str, int]:
        """The fencing number that each host has seen, as far as it was asked."""

    @abstractmethod
    def work(self, lease: Leased, guard: Guard, shown: Plan) -> Work:
        """What the loop asks of the operation while it holds the lease."""

    def last_checks(self, plan: Plan) -> list[Verdict]:  # noqa: ARG002
        """What is checked right before a plan is applied, beside what it says itself."""
        return []

    def gather(self) -> Facts:
        """Ask all hosts, one round trip each."""
        return self.remember(self.ask)

    def remember(self, ask: Callable[[], Facts]) -> Facts:
        """Ask, and keep what was seen and when."""
        at = time.monotonic()
        facts = ask()
        self.seen = Seen(facts, at)
        return facts

    def seen_lately(self) -> Facts | None:
        """What was seen within the last second."""
        if self.seen is not None and self.seen.is_younger_than(FRESH_SECONDS):
            return self.seen.facts
        return None

    def fresh_facts(self) -> Facts:
        """What was seen within the last second, or a new look."""
        return self.seen_lately() or self.gather()

    def plan(self) -> Plan:
        """Look and decide."""
        self._let_the_dead_finish()
        plan = self.decide(self.gather())
        known = highest_fence(self.db, self.subject)
        beyond = check_fences(self.subject, known, self._fences_seen(), acts=bool(plan.groups))
        return replace(plan, verdicts=(*plan.verdicts, *beyond))

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
        claims = Claims(self.subject, self.pool, needed, self._fences_seen())
        with leased(self.db, plan, asked, claim=claims.take) as operation:
            self.seen = None  # whoever held the lease before may have acted since
            work = self.work(operation, claims.guard(operation), plan)
            try:
                return apply_plan(self.db, plan, work, operation)
            finally:
                claims.let_go(operation)

    def _let_the_dead_finish(self) -> None:
        """Wait for what a dead process has left running on the hosts: facts seen meanwhile go stale."""
        lease = get_lease(self.db, self.subject)
        if lease is not None and is_live(lease, this_process(), self.db.now()):
            return
        last = changing_operations(self.db, self.subject)[:1]
        if any(one.outcome not in ("done", "nothing_to_do") for one in last):
            self.pool.each(lambda host: let_settle(self.subject, host, self.settle_s))

    def _fences_seen(self) -> Mapping[str, int]:
        return self.fences(self.seen.facts) if self.seen else {}


@contextmanager
def open_controller(home: Home | None) -> Iterator[tuple[Home, Database]]:
    """The controller's places and its database, while the block runs."""
    home = home or load_home()
    db = open_database(home.database_url)
    try:
        yield home, db
    finally:
        db.close()
