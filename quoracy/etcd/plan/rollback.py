"""Putting back what an interrupted or failed operation has left half done, from its journal. Pure.

Only its unfinished part is put back: in a roll the member that was worked on, in a create all hosts.
What an operation has finished, and what it noted as having no way back, is not in `HalfDone` any more.
A cluster that has served is never taken off its hosts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from quoracy.etcd.checks_alarms import check_corrupt
from quoracy.etcd.checks_quorum import check_can_stop, quorate
from quoracy.etcd.facts import EtcdHostFacts
from quoracy.etcd.facts_cluster import EtcdFacts, presence
from quoracy.etcd.plan.half_states import check_half_states
from quoracy.etcd.spec import EtcdCluster
from quoracy.etcd.steps import HaltMember, SwitchGeneration, WithdrawMember
from quoracy.operation.plan import Change, Group, Plan, StopVoter
from quoracy.operation.step import Step
from quoracy.operation.verdict import Verdict, failed, unknown, warned

OPERATION = "operation-rollback"
_STOPPING = (HaltMember.name, WithdrawMember.name)
_AGAIN = "finish it instead: run the operation again"


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
        fence: The highest fencing number that this controller has given for the cluster.
        holders: Who has held its lease; a host may have been given a higher number than the lease's.
    """

    operation_id: str
    title: str
    undoes: Literal["group", "all"]
    unfinished: frozenset[str]
    steps: tuple[TakenStep, ...]
    fence: int
    holders: frozenset[str] = frozenset()

    @property
    def to_put_back(self) -> tuple[TakenStep, ...]:
        """The steps with a way back, newest first."""
        return tuple(
            step
            for step in reversed(self.steps)
            if step.undo and (self.undoes == "all" or step.group in self.unfinished)
        )


def plan_etcd_rollback(
    cluster: EtcdCluster,
    facts: EtcdFacts,
    half_done: HalfDone | None,
    *,
    allow_downtime: bool,
    done: frozenset[str] = frozenset(),
) -> Plan:
    """Decide what `operation-rollback` does.

    Args:
        half_done: None when the last operation came to its end.
        done: Hosts that have been put back already.
    """
    if half_done is None:
        return _plan(cluster, "nothing", f"nothing of {cluster.name} is half done")
    hosts = {host.name for host in cluster.hosts} - done
    if half_done.undoes == "all":
        hosts -= {name for name, heard in facts.heard.items() if _carries_nothing(heard)}
    back = [step for step in half_done.to_put_back if step.host in hosts]
    if not back:
        return _plan(cluster, "nothing", f"there is no way back for: {half_done.title}")
    groups = tuple(_group(host, back, facts) for host in dict.fromkeys(step.host for step in back))
    verdicts = [*_gone(half_done, {h.name for h in cluster.hosts}), *_silent(facts, groups)]
    if not any(verdict.stops for verdict in verdicts):
        verdicts += [*check_corrupt(facts), *_others(facts, half_done)]
        verdicts += _unfit(cluster, facts, groups)
        verdicts += _quorum(facts, groups, half_done, allow_downtime=allow_downtime)
    return _plan(
        cluster,
        "rollback",
        f"put back what was left half done on {', '.join(g.title for g in groups)}: {half_done.title}",
        verdicts=verdicts,
        changes=[Change(step.host, "half done", step.title, "put back") for step in back],
        groups=groups,
    )


def _carries_nothing(heard: EtcdHostFacts) -> bool:
    """Whether a create is taken off the host already, or never came to act there."""
    return presence(heard) == "absent" and heard.unit_file is None and heard.generation is None


def _gone(half_done: HalfDone, hosts: set[str]) -> list[Verdict]:
    gone = sorted({step.host for step in half_done.to_put_back if step.host} - hosts)
    return [
        warned(
            "HostNotInSpec", "it is left as it is: the spec does not name it any more", where=name
        )
        for name in gone
    ]


def _others(facts: EtcdFacts, half_done: HalfDone) -> list[Verdict]:
    """Another controller has acted since: what lies on the hosts is its business."""
    return [
        failed(
            "AnotherHasActed",
            f"an operation of another controller (number {last.fence}) has acted there since",
            where=name,
            next_step="run the operation again instead; it goes on from the hosts",
        )
        for name, heard in facts.heard.items()
        if (last := heard.host.guard)
        and last.fence > half_done.fence
        and last.name not in half_done.holders
    ]


def _unfit(cluster: EtcdCluster, facts: EtcdFacts, groups: Sequence[Group]) -> list[Verdict]:
    """What the steps rely on: the generation to go back to, and data that is nobody's yet."""
    verdicts = [v for v in check_half_states(cluster, facts, None) if v.reason == "PlacesDiffer"]
    for group in groups:
        heard = facts.heard[group.hosts[0]]
        for step in group.steps:
            if isinstance(step, SwitchGeneration):
                verdicts += _way_back(step, heard)
        formed = heard.config_cluster_id or heard.data_cluster_id
        if formed and any(step.name == WithdrawMember.name for step in group.steps):
            what = "the member belongs to a cluster that has formed; its data is not taken away"
            verdicts.append(failed("ClusterServes", what, where=group.hosts[0], next_step=_AGAIN))
    return verdicts


def _way_back(step: SwitchGeneration, heard: EtcdHostFacts) -> list[Verdict]:
    """Whether the generation to go back to lies there as it was."""
    found, back = heard.staged.get(step.identity), f"the generation {step.identity} to go back to"
    if found is None:
        what = f"{back} is not there any more"
        return [failed("GenerationMissing", what, where=step.host, next_step=_AGAIN)]
    if step.content not in ("", found):
        what = f"{back} was edited on the host since"
        return [failed("GenerationEdited", what, where=step.host, next_step=_AGAIN)]
    return []


def _group(host: str, back: Sequence[TakenStep], facts: EtcdFacts) -> Group:
    """All that puts one host back; several steps may ask for the same, which is done once."""
    steps = tuple(dict.fromkeys(undo for step in back if step.host == host for undo in step.undo))
    serves = host in facts.healthy
    stops = serves and any(step.name in _STOPPING for step in steps)
    return Group(host, (host,), steps, gate=StopVoter(host) if stops else None)


def _silent(facts: EtcdFacts, groups: Sequence[Group]) -> list[Verdict]:
    return [
        unknown(
            "HostSilent",
            f"could not be asked: {facts.silent[group.hosts[0]].reason}",
            where=group.hosts[0],
            next_step=facts.silent[group.hosts[0]].next_step or "bring the host back first",
        )
        for group in groups
        if group.hosts[0] in facts.silent
    ]


def _quorum(
    facts: EtcdFacts, groups: Sequence[Group], half_done: HalfDone, *, allow_downtime: bool
) -> list[Verdict]:
    """A member that serves after all is only taken down when the others carry the cluster."""
    stopping = [group.gate.host for group in groups if group.gate]
    if stopping and half_done.undoes == "all" and quorate(facts):
        return [
            failed(
                "ClusterServes",
                f"{', '.join(stopping)} serve already: taking them back would end the cluster",
                next_step=_AGAIN,
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
