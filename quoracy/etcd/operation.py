"""An operation on an etcd cluster: how its hosts are asked, and what the loop asks of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from quoracy.etcd.apply import apply_etcd_step
from quoracy.etcd.checks_quorum import check_can_stop
from quoracy.etcd.facts_cluster import EtcdFacts
from quoracy.etcd.gather import gather_etcd
from quoracy.etcd.site import EtcdSite
from quoracy.etcd.spec import EtcdCluster
from quoracy.etcd.steps import AwaitMember, HaltMember, TakeSnapshot
from quoracy.hosts.pool import HostPool
from quoracy.operation.approval import Approval
from quoracy.operation.guard import Guard
from quoracy.operation.lease import Leased
from quoracy.operation.markdown import cell
from quoracy.operation.operation import Operation
from quoracy.operation.plan import Group, Plan
from quoracy.operation.step import Step
from quoracy.operation.verdict import require

ApplyStep = Callable[[Step, EtcdSite], str]
AskHosts = Callable[[EtcdCluster, HostPool], EtcdFacts]


@dataclass(slots=True, kw_only=True)
class EtcdOperation(Operation[EtcdFacts]):
    """One operation on a cluster.

    Attributes:
        ask_hosts: Gathers the facts; the flow puts a task here.
        ask_within_step: Gathers the facts in the middle of a step, which is a task already.
        apply_step: Carries out a step; the flow puts a task here.
    """

    cluster: EtcdCluster
    allow_downtime: bool = False
    ask_hosts: AskHosts = gather_etcd
    ask_within_step: AskHosts = gather_etcd
    apply_step: ApplyStep = apply_etcd_step

    def ask(self) -> EtcdFacts:
        """Ask all hosts."""
        return self.ask_hosts(self.cluster, self.pool)

    def look(self) -> EtcdFacts:
        """Ask all hosts in the middle of a step."""
        return self.remember(lambda: self.ask_within_step(self.cluster, self.pool))

    def recent(self) -> EtcdFacts:
        """What was seen within the last second, or a new look in the middle of a step."""
        return self.seen_lately() or self.look()

    def fences(self, facts: EtcdFacts) -> dict[str, int]:
        """The fencing number that each host has seen."""
        heard = facts.heard.items()
        return {name: one.host.guard.fence for name, one in heard if one.host.guard}

    def work(self, lease: Leased, guard: Guard, shown: Plan) -> EtcdWork:
        """What the loop asks of the operation."""
        site = EtcdSite(
            subject=self.subject,
            settle_s=self.settle_s,
            cluster=self.cluster,
            pool=self.pool,
            home=self.home,
            db=self.db,
            guard=guard,
            stamp=lease.operation_id,
            resolvers=self.resolvers,
            look=self.look,
            recent=self.recent,
        )
        return EtcdWork(self, site, shown)


class EtcdWork:
    """What the loop asks of the operation.

    Args:
        operation: What is under way.
        site: What its steps work with.
        shown: The plan that is applied.
    """

    def __init__(self, operation: EtcdOperation, site: EtcdSite, shown: Plan) -> None:
        self._operation = operation
        self._site = site
        self._shown = shown
        self._asked = False
        self._done: set[str] = set()
        self._began: dict[str, float] = {}

    def look(self) -> Plan:
        """Plan anew, on facts that are fresh."""
        done = frozenset(self._done)
        return self._operation.decide_again(self._operation.fresh_facts(), self._shown, done)

    def gate(self, group: Group) -> None:
        """Check quorum right before a voter is stopped, on facts that are at most a second old."""
        if group.gate is not None:
            facts, allowed = self._operation.fresh_facts(), self._operation.allow_downtime
            require([check_can_stop(facts, group.gate.host, allow_downtime=allowed)])

    def apply(self, step: Step) -> str:
        """Carry out one step; what was seen before it is forgotten."""
        self._began.setdefault(step.host, time.monotonic())
        # A member that is waited for or copied is not changed; what was seen last stays true.
        if step.name not in (AwaitMember.name, TakeSnapshot.name):
            self._operation.seen = None
        if step.name == HaltMember.name:
            self._require_stoppable(step.host)
        return self._operation.apply_step(step, self._site)

    def _require_stoppable(self, host: str) -> None:
        """When it serves after all, taking it down is subject to the gate as any other stop."""
        facts = self._operation.look()
        if host in facts.healthy:
            allowed = self._operation.allow_downtime
            require([check_can_stop(facts, host, allow_downtime=allowed)])
        self._operation.seen = None

    def enter(self, group: Group, body: Callable[[], None]) -> None:
        """Run the group as part of the run history."""
        for host in group.hosts:
            self._began.pop(host, None)
        self._operation.enter_group(group, body)
        self._done.add(group.title)

    def approve(self, done: Group, left: tuple[Group, ...]) -> bool:
        """Ask once, after the first member, when that was wanted."""
        if self._operation.approve is None or self._asked or not done.hosts:
            return False
        self._asked = True
        self._operation.approve(
            Approval(
                cluster=self._shown.cluster,
                title=self._shown.title,
                done=done.title,
                figures=self._figures(done.hosts[0]),
                left=tuple(group.title for group in left),
            )
        )
        return True

    def _figures(self, member: str) -> str:
        """What became of a member, as a Markdown table."""
        took = time.monotonic() - self._began[member]
        facts = self._operation.fresh_facts()
        told = facts.statuses.get(member)
        rows = {
            "member": member,
            "stopped, switched and healthy again in": f"{took:.1f} s",
            "members healthy": f"{len(facts.healthy)} of {len(facts.hosts)}",
            "leader": facts.leader or "none",
        }
        if told is not None:
            rows |= {
                "etcd": told.version,
                "applied index": str(told.applied_index),
                "size of the database": f"{told.db_bytes / 1024**2:.1f} MiB",
                "alarms": ", ".join(alarm.kind for alarm in facts.alarms) or "none",
            }
        lines = [f"| {name} | {cell(value)} |" for name, value in rows.items()]
        return "\n".join(["| | |", "|---|---|", *lines])


def settle_seconds(cluster: EtcdCluster) -> int:
    """Seconds after which not even a start of a member goes on any more."""
    return max(cluster.systemd.start_timeout_s, cluster.systemd.stop_timeout_s) + 30
