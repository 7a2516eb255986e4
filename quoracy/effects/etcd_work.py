"""The loop's view of an etcd operation that holds the lease: looks, gates, steps, questions."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from quoracy.checks.quorum import check_can_stop
from quoracy.checks.verdict import require
from quoracy.effects.site import EtcdSite
from quoracy.operate.approval import Approval
from quoracy.plan.etcd_steps import AwaitMember, HaltMember, TakeSnapshot
from quoracy.plan.markdown import cell
from quoracy.plan.plan import Group, Plan, Step

if TYPE_CHECKING:
    from quoracy.effects.etcd_operation import EtcdOperation


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
        if group.stops_voter:
            facts, allowed = self._operation.fresh_facts(), self._operation.allow_downtime
            require([check_can_stop(facts, group.member, allow_downtime=allowed)])

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
        if group.member:
            self._began.pop(group.member, None)
        self._operation.enter_group(group, body)
        self._done.add(group.title)

    def approve(self, done: Group, left: tuple[Group, ...]) -> bool:
        """Ask once, after the first member, when that was wanted."""
        if self._operation.approve is None or self._asked or not done.member:
            return False
        self._asked = True
        self._operation.approve(
            Approval(
                cluster=self._shown.cluster,
                title=self._shown.title,
                done=done.member,
                figures=self._figures(done.member),
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
