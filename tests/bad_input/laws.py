"""What no plan may do, judged from the facts alone: imports neither plan nor checks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from quoracy.etcd.facts import EtcdHostFacts, MemberEntry
from quoracy.etcd.facts_cluster import EtcdFacts
from quoracy.etcd.spec import EtcdCluster


def minor(version: str) -> tuple[int, int]:
    first, second, *_ = version.split(".")
    return int(first), int(second)


def heard(facts: EtcdFacts) -> dict[str, EtcdHostFacts]:
    return {name: one for name, one in facts.hosts.items() if isinstance(one, EtcdHostFacts)}


def healthy(facts: EtcdFacts) -> set[str]:
    return {name for name, one in heard(facts).items() if one.healthy}


def voters(facts: EtcdFacts) -> set[str]:
    """The voters, by the list of the member that has applied most."""
    lists: list[tuple[int, tuple[MemberEntry, ...]]] = [
        (one.status.applied_index if one.status else 0, one.members)
        for one in heard(facts).values()
        if one.members is not None
    ]
    newest = max(lists, key=lambda found: found[0])[1] if lists else ()
    return {entry.name for entry in newest if not entry.learner}


def cluster_ids(facts: EtcdFacts, pinned: str | None) -> set[str]:
    told = {one.status.cluster_id for one in heard(facts).values() if one.status}
    written = {one.config_cluster_id for one in heard(facts).values()}
    return {one for one in (*told, *written, pinned) if one}


def broken(
    cluster: EtcdCluster, facts: EtcdFacts, pinned: str | None, plan: Any, *, downtime: bool
) -> list[str]:
    """The laws that a plan breaks that was not refused; empty for a good one."""
    steps = [step for _, step in plan.steps]
    if not steps:
        return []
    found = list(_places(cluster, facts, pinned, plan, steps))
    found += _amnesia(facts, pinned, steps)
    found += _mixed(facts, steps)
    found += _backup(facts, plan, steps)
    found += _versions(cluster, facts, steps)
    found += _stops(facts, plan, downtime=downtime)
    return found


def _places(
    cluster: EtcdCluster, facts: EtcdFacts, pinned: str | None, plan: Any, steps: list[Any]
) -> Iterator[str]:
    strangers = {step.host for step in steps} - {host.name for host in cluster.hosts} - {""}
    if strangers:
        yield f"steps on hosts that the spec does not name: {strangers}"
    if len(cluster_ids(facts, pinned)) > 1:
        yield "steps although cluster IDs differ"
    # To get a quorum back, members are started as they lie on disk, whoever else is away.
    if len(heard(facts)) != len(cluster.hosts) and plan.kind != "start":
        yield "steps although a host could not be asked"
    if plan.kind != "create" and any(step.host == "" for step in steps):
        yield "a step on the controller that belongs to a create"


def _amnesia(facts: EtcdFacts, pinned: str | None, steps: list[Any]) -> Iterator[str]:
    """A voter that has forgotten its log must not come back.

    An ID is pinned, and a member finished, only after all members had served: whoever has no log
    then has lost it.
    """
    served = bool(pinned) or any(one.config_cluster_id for one in heard(facts).values())
    written = {step.host for step in steps if step.name == "write-bootstrap"}
    for step in steps:
        one = heard(facts).get(step.host)
        if one is None or one.has_log or step.name not in ("start-member", "form-member"):
            continue
        if step.name == "start-member":
            yield f"{step.host} is started without its log"
        if served or one.formed or one.data_cluster_id:
            yield f"{step.host} has been a member, and is started without its log"
        if one.bootstrap is None and step.host not in written:
            yield f"{step.host} is formed without the keys of the first start"


def _mixed(facts: EtcdFacts, steps: list[Any]) -> Iterator[str]:
    """What lay there before the first start of ours would become part of the cluster."""
    for step in steps:
        one = heard(facts).get(step.host)
        if one is None or one.bootstrap is not None or one.config_cluster_id:
            continue
        if step.name in ("prepare-host", "form-member") and (one.old_data or one.data_cluster_id):
            yield f"{step.host}: {step.name} over data that nothing accounts for"


def _changes(step: Any) -> bool:
    """Whether what runs, or would start next, is another thing afterwards."""
    switched = step.name == "switch-generation" and step.previous not in (None, step.identity)
    return step.name == "stop-member" or switched


def _backup(facts: EtcdFacts, plan: Any, steps: list[Any]) -> Iterator[str]:
    changing = [step for step in steps if _changes(step)]
    exists = any(one.config_cluster_id or one.status for one in heard(facts).values())
    if changing and exists and plan.kind != "create":
        if steps[0].name != "take-snapshot":
            yield f"{changing[0].host}: {changing[0].name} before a backup"
        elif steps[0].host not in healthy(facts):
            yield "the backup is taken through a member that is not healthy"
    if plan.kind == "create" and any(step.name == "stop-member" for step in steps):
        yield "a create stops a member"


def _versions(cluster: EtcdCluster, facts: EtcdFacts, steps: list[Any]) -> Iterator[str]:
    running = [one.status.version for one in heard(facts).values() if one.status]
    if not running or not any(step.name == "stop-member" for step in steps):
        return
    lowest, wanted = min(map(minor, running)), minor(cluster.version)
    if wanted not in (lowest, (lowest[0], lowest[1] + 1)):
        yield f"from {lowest} to {wanted}"


def _stops(facts: EtcdFacts, plan: Any, *, downtime: bool) -> Iterator[str]:
    """One voter at a time, each only while the others are a quorum without it."""
    up, voting = healthy(facts), voters(facts)
    needed = len(voting) // 2 + 1
    for group in plan.groups:
        names = [step.name for step in group.steps]
        stopped = {step.host for step in group.steps if step.name == "stop-member"}
        if len(stopped) > 1 or (stopped and group.parallel):
            yield f"{group.title}: stops {sorted(stopped)} at once"
        for host in stopped & voting:
            others = (up & voting) - {host}
            accepted = downtime and len(voting) <= 2 and others == voting - {host}
            if len(others) < needed and not accepted:
                yield f"{host} is stopped while {sorted(others)} of {sorted(voting)} are healthy"
            if not group.gate:
                yield f"{host} is stopped without the gate"
        for host in stopped:
            own = [step.name for step in group.steps if step.host == host]
            if own[own.index("stop-member") :][-2:] != ["start-member", "await-member"]:
                yield f"{host} is stopped, and then: {own}"
        if "await-member" in names:
            up |= {step.host for step in group.steps if step.name == "await-member"}
