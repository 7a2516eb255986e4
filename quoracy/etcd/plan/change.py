"""Changing a cluster that is there: backup, preparation, then one member at a time. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from quoracy.etcd.checks_alarms import refuse_full, warn_full
from quoracy.etcd.checks_certificates import WantedCertificates, check_certificates
from quoracy.etcd.checks_quorum import check_can_stop
from quoracy.etcd.checks_versions import check_path, triple
from quoracy.etcd.facts_cluster import EtcdFacts
from quoracy.etcd.plan.content import edited_warnings
from quoracy.etcd.plan.half_states import NO_SCALING
from quoracy.etcd.plan.member import (
    disk_changes,
    member_steps,
    preparation,
    raises_quota,
    running_changes,
)
from quoracy.etcd.plan.refusals import MIN_FREE_BYTES, clock_warnings
from quoracy.etcd.spec import EtcdCluster, EtcdHost
from quoracy.etcd.steps import StartMember, TakeSnapshot
from quoracy.etcd.templates import peer_url
from quoracy.operation.guard import state_dir
from quoracy.operation.plan import Change, Group, Plan, StopVoter
from quoracy.operation.step import Step
from quoracy.operation.verdict import Verdict, failed, unknown, warned


def plan_change(
    cluster: EtcdCluster,
    facts: EtcdFacts,
    certificates: WantedCertificates,
    general: Sequence[Verdict],
    *,
    allow_downtime: bool,
) -> Plan:
    """The plan that brings the members to what is wanted; an empty one when they are there."""
    changes = [c for host in cluster.hosts for c in _changes(cluster, host, facts)]
    verdicts = [*general, *clock_warnings(facts), *_topology(cluster, facts)]
    verdicts += [
        verdict
        for host in cluster.hosts
        for verdict in check_certificates(
            cluster, host, facts.heard[host.name], certificates, facts.asked_at
        )
    ]
    verdicts.append(_path(cluster, facts))
    groups = [_member_group(cluster, host, facts) for host in _order(cluster, facts)]
    groups = [group for group in groups if group.steps]
    prepare = [s for h in cluster.hosts for s in preparation(cluster, h, facts.heard[h.name])]
    if not groups and not prepare:
        title = f"{cluster.name} is as wanted: nothing to do"
        verdicts += _ailments(facts)
        return Plan(
            "etcd-deploy",
            cluster.name,
            "nothing",
            title,
            tuple(verdicts),
            tuple(changes),
            converges=True,
        )
    verdicts += edited_warnings(cluster, facts)
    verdicts += _alarms(cluster, facts, changes)
    verdicts += _gates(facts, groups, allow_downtime=allow_downtime)
    backup = _backup(facts) if changes else ()
    verdicts += _room(cluster, facts, backup) if changes else []
    title = _title(cluster, changes, len(groups))
    if prepare:
        groups.insert(0, Group("prepare hosts", (), tuple(prepare), parallel=True))
    return Plan(
        operation="etcd-deploy",
        cluster=cluster.name,
        kind="change",
        title=title,
        verdicts=tuple(verdicts),
        changes=tuple(changes),
        before=backup,
        groups=tuple(groups),
        converges=True,
    )


def _changes(cluster: EtcdCluster, host: EtcdHost, facts: EtcdFacts) -> list[Change]:
    heard = facts.heard[host.name]
    changes = running_changes(cluster, host, heard)
    # The switch follows from the differences above; alone it is a difference of its own.
    return changes or disk_changes(cluster, host, heard)


def _order(cluster: EtcdCluster, facts: EtcdFacts) -> list[EtcdHost]:
    """Members that are not healthy first, the leader last (etcd-druid's DEP-07)."""
    return sorted(
        cluster.hosts,
        key=lambda host: (host.name in facts.healthy, host.name == facts.leader),
    )


def _member_group(cluster: EtcdCluster, host: EtcdHost, facts: EtcdFacts) -> Group:
    steps, stops = member_steps(cluster, host, facts.heard[host.name])
    note = _note(cluster, host, facts)
    # Once the last old member has served, going back is what etcd refuses.
    final = StartMember.name if note else ""
    return Group(
        host.name,
        (host.name,),
        steps,
        gate=StopVoter(host.name) if stops else None,
        served=host.name in facts.healthy,
        note=note,
        kept_after=final,
    )


def _note(cluster: EtcdCluster, host: EtcdHost, facts: EtcdFacts) -> str:
    """Said before the last old member of a minor upgrade moves."""
    target = triple(cluster.version)[:2]
    old = {n for n, s in facts.statuses.items() if triple(s.version)[:2] < target}
    last = [one.name for one in _order(cluster, facts) if one.name in old][-1:]
    if [host.name] != last:
        return ""
    return (
        f"once {host.name} runs {cluster.version} as well, etcd no longer allows the way back to "
        "the old minor: from then on it is repair forward, or restore the snapshot"
    )


def _backup(facts: EtcdFacts) -> tuple[Step, ...]:
    """A snapshot through the healthy follower that has applied most; the leader has enough to do."""
    told = facts.statuses
    candidates = sorted(
        facts.healthy & told.keys(),
        key=lambda name: (name == facts.leader, -told[name].applied_index, name),
    )
    if not candidates:
        return ()
    member = candidates[0]
    return (TakeSnapshot(member, facts.revision, told[member].db_bytes),)


def _room(cluster: EtcdCluster, facts: EtcdFacts, backup: Sequence[Step]) -> list[Verdict]:
    """A snapshot is about as large as the database, and must not fill the disk that etcd needs."""
    verdicts = []
    if not backup:
        verdicts.append(
            unknown(
                "NobodyToBackUp",
                "no healthy member told its revision, so no snapshot can be judged",
                next_step=f"see `quoracy status {cluster.name}` and run again",
            )
        )
    for step in backup:
        free = facts.heard[step.host].host.free_bytes.get(state_dir(cluster.name))
        needed = facts.statuses[step.host].db_bytes + MIN_FREE_BYTES
        if free is not None and free < needed:
            verdicts.append(
                failed(
                    "NoRoomForSnapshot",
                    f"{free // 1024**2} MiB free at {state_dir(cluster.name)}, the snapshot needs {needed // 1024**2}",
                    where=step.host,
                    next_step="free disk space there, or defragment the members first",
                )
            )
    return verdicts


def _path(cluster: EtcdCluster, facts: EtcdFacts) -> Verdict:
    """Whether etcd goes from the versions that run to the wanted one."""
    told = facts.statuses
    stopped = [heard.version for name, heard in facts.heard.items() if name not in told]
    return check_path(
        [status.version for status in told.values() if status.version],
        cluster.version,
        stopped=[version for version in stopped if version],
    )


def _topology(cluster: EtcdCluster, facts: EtcdFacts) -> list[Verdict]:
    """The members that etcd knows must be the hosts of the spec, by name and peer URL."""
    if facts.members is None:
        return []
    wanted = {host.name: peer_url(cluster, host) for host in cluster.hosts}
    found = {e.name or "(never started)": ",".join(e.peer_urls) for e in facts.members}
    extra = [f"{name} at {url}" for name, url in found.items() if wanted.get(name) != url]
    lacking = [f"{name} at {url}" for name, url in wanted.items() if found.get(name) != url]
    verdicts = []
    if extra:
        verdicts.append(
            failed(
                "TopologyDiffers",
                f"members that the spec does not name: {', '.join(extra)}",
                next_step=NO_SCALING,
            )
        )
    if lacking:
        verdicts.append(
            failed(
                "TopologyDiffers",
                f"hosts of the spec that are no members: {', '.join(lacking)}",
                next_step=NO_SCALING,
            )
        )
    return verdicts


def _ailments(facts: EtcdFacts) -> list[Verdict]:
    """What is wrong with members that run as wanted: a deploy cannot help, but says so."""
    verdicts = [
        warned("MemberUnhealthy", "the member runs as wanted but serves no reads", where=name)
        for name in facts.heard
        if name not in facts.healthy
    ]
    return [*verdicts, *warn_full(facts)]


def _alarms(cluster: EtcdCluster, facts: EtcdFacts, changes: Sequence[Change]) -> list[Verdict]:
    """Out of space, members may be started, and changed when that gives them a larger quota."""
    changed = dict.fromkeys(change.host for change in changes)
    other = [
        name for name in changed if not raises_quota(cluster, cluster.host(name), facts.heard[name])
    ]
    return refuse_full(facts, other) if other else warn_full(facts, raising=bool(changed))


def _gates(
    facts: EtcdFacts, groups: Sequence[Group], *, allow_downtime: bool
) -> tuple[Verdict, ...]:
    """The first gate that this plan would not pass, judged as the gates will when their turn comes.

    A member that was worked on is healthy afterwards, or the roll stops there.
    """
    healthy = facts.healthy
    for group in groups:
        if group.gate is not None:
            verdict = check_can_stop(
                facts, group.gate.host, allow_downtime=allow_downtime, healthy=healthy
            )
            if verdict.stops:
                return (verdict,)
        healthy = healthy.union(group.hosts)
    return ()


def _title(cluster: EtcdCluster, changes: Sequence[Change], members: int) -> str:
    versions = sorted({c.before for c in changes if c.what == "version"})
    if versions:
        return f"upgrade {cluster.name} from etcd {', '.join(versions)} to {cluster.version}, {members} members one by one"
    if not members:
        return f"repair the files of {cluster.name}; no member is restarted"
    if not changes:
        return f"start {members} stopped member{'s' if members > 1 else ''} of {cluster.name}"
    return f"change {cluster.name}, {members} members one by one"
