"""Putting back what an interrupted or failed operation has left half done, from its journal. Pure.

Only its unfinished part is put back: in a roll the member that was worked on, in a create all hosts.
What another operation has finished since, or what etcd no longer lets go back, is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from quoracy.checks.quorum import check_can_stop, quorate
from quoracy.checks.verdict import Verdict, failed, unknown
from quoracy.facts.etcd_cluster import EtcdFacts
from quoracy.plan.etcd_steps import HaltMember, WithdrawMember
from quoracy.plan.plan import Change, Group, Plan, Step
from quoracy.spec.etcd import EtcdCluster

OPERATION = "operation-rollback"
_STOPPING = (HaltMember.name, WithdrawMember.name)


@dataclass(frozen=True, slots=True)
class TakenStep:
    """One step of the journal that was begun: where it belongs, and what puts it back."""

    group: str
    host: str
    title: str
    undo: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class HalfDone:
    """An operation that did not come to its end.

    Attributes:
        undoes: Whether its unfinished group is put back, or all of it (a create).
        unfinished: Titles of the groups with steps that were not taken or did not succeed.
        steps: Those that were begun, in order.
    """

    operation_id: str
    title: str
    undoes: Literal["group", "all"]
    unfinished: frozenset[str]
    steps: tuple[TakenStep, ...]

    @property
    def to_put_back(self) -> tuple[TakenStep, ...]:
        """The steps with a way back, newest first."""
        return tuple(
            step
            for step in reversed(self.steps)
            if step.undo and (self.undoes == "all" or step.group in self.unfinished)
        )


def plan_etcd_rollback(
    cluster: EtcdCluster, facts: EtcdFacts, half_done: HalfDone | None, *, allow_downtime: bool
) -> Plan:
    """Decide what `operation-rollback` does.

    Args:
        half_done: None when the last operation came to its end.
    """
    back = half_done.to_put_back if half_done else ()
    if half_done is None or not back:
        return _plan(cluster, "nothing", f"nothing of {cluster.name} is half done")
    groups = tuple(_group(host, back, facts) for host in dict.fromkeys(step.host for step in back))
    return _plan(
        cluster,
        "rollback",
        f"put back what was left half done on {', '.join(g.member for g in groups)}: {half_done.title}",
        verdicts=[*_silent(facts, groups), *_quorum(facts, groups, allow_downtime=allow_downtime)],
        changes=[Change(step.host, "half done", step.title, "put back") for step in back],
        groups=groups,
    )


def _group(host: str, back: Sequence[TakenStep], facts: EtcdFacts) -> Group:
    """All that puts one host back; several steps may ask for the same, which is done once."""
    steps = tuple(dict.fromkeys(undo for step in back if step.host == host for undo in step.undo))
    serves = host in facts.healthy
    stops = serves and any(step.name in _STOPPING for step in steps)
    return Group(host, host, steps, stops_voter=stops)


def _silent(facts: EtcdFacts, groups: Sequence[Group]) -> list[Verdict]:
    return [
        unknown(
            "HostSilent",
            f"could not be asked: {facts.silent[group.member].reason}",
            where=group.member,
            next_step=facts.silent[group.member].next_step or "bring the host back first",
        )
        for group in groups
        if group.member in facts.silent
    ]


def _quorum(facts: EtcdFacts, groups: Sequence[Group], *, allow_downtime: bool) -> list[Verdict]:
    """A member that serves after all is only taken down when the others carry the cluster."""
    stopping = [group.member for group in groups if group.stops_voter]
    if len(stopping) > 1 and quorate(facts):
        return [
            failed(
                "ClusterServes",
                f"{', '.join(stopping)} serve already: taking them all back would end the cluster",
                next_step="finish it instead: run the operation again",
            )
        ]
    return [
        verdict
        for member in stopping
        if (verdict := check_can_stop(facts, member, allow_downtime=allow_downtime)).stops
    ]


def _plan(
    cluster: EtcdCluster,
    kind: Literal["rollback", "nothing"],
    title: str,
    *,
    verdicts: Sequence[Verdict] = (),
    changes: Sequence[Change] = (),
    groups: tuple[Group, ...] = (),
) -> Plan:
    return Plan(
        operation=OPERATION,
        cluster=cluster.name,
        kind=kind,
        title=title,
        verdicts=tuple(verdicts),
        changes=tuple(changes),
        groups=groups,
        undoes="nothing",
    )
