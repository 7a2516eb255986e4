"""Bringing a cluster without quorum back: start what is stopped, as it lies on disk, and no more. Pure.

Without quorum there is neither a backup nor a safe change, but stopped members may always be started:
whatever lies on their disks was put there by an operation that had its backup. What else differs is
left to the next run, which has a quorum to stand on.
"""

from __future__ import annotations

from quoracy.etcd.checks_alarms import warn_full
from quoracy.etcd.checks_certificates import WantedCertificates, check_certificates
from quoracy.etcd.checks_quorum import quorate
from quoracy.etcd.facts import EtcdHostFacts
from quoracy.etcd.facts_cluster import EtcdFacts, presence
from quoracy.etcd.plan.content import at_start, edited_warnings, found_content, wanted_content
from quoracy.etcd.plan.member import disk_changes, running_changes, switch_step
from quoracy.etcd.spec import EtcdCluster, EtcdHost
from quoracy.etcd.steps import (
    AwaitMember,
    HaltMember,
    InstallRelease,
    StageGeneration,
    StartMember,
)
from quoracy.etcd.templates import render_generation
from quoracy.operation.plan import Group, Plan
from quoracy.operation.step import Step
from quoracy.operation.verdict import Verdict, failed, warned


def plan_start(cluster: EtcdCluster, facts: EtcdFacts, certificates: WantedCertificates) -> Plan:
    """The plan that starts the stopped members, side by side: alone none of them becomes ready."""
    heard = [host for host in cluster.hosts if host.name in facts.heard]
    stopped = [host for host in heard if _can_start(cluster, host, facts.heard[host.name])]
    unfit = [] if quorate(facts) else _unfit_certificates(cluster, facts, certificates)
    if not stopped:
        lost = [] if quorate(facts) else [_lost(cluster)]
        verdicts = (*unfit, *lost)
        return Plan("etcd-deploy", cluster.name, "nothing", "no member to start", verdicts)
    count = f"{len(stopped)} stopped member{'s' if len(stopped) > 1 else ''}"
    steps = tuple(
        step for host in stopped for step in _start(cluster, host, facts.heard[host.name])
    )
    return Plan(
        operation="etcd-deploy",
        cluster=cluster.name,
        kind="start",
        title=f"start {count} of {cluster.name}",
        verdicts=(
            *unfit,
            *_what_waits(cluster, facts),
            *edited_warnings(cluster, facts),
            *warn_full(facts),
        ),
        groups=(Group("start the stopped members", (), steps, parallel=True, served=False),),
    )


def _unfit_certificates(
    cluster: EtcdCluster, facts: EtcdFacts, certificates: WantedCertificates
) -> list[Verdict]:
    """Why members may serve nobody: that a certificate is another than this controller's is no reason."""
    return [
        verdict
        for host in cluster.hosts
        if host.name in facts.heard and presence(facts.heard[host.name]) == "present"
        for verdict in check_certificates(
            cluster, host, facts.heard[host.name], certificates, facts.asked_at
        )
        if verdict.reason != "CertificatesDiffer"
    ]


def _what_waits(cluster: EtcdCluster, facts: EtcdFacts) -> list[Verdict]:
    """Differences from the spec that this run leaves alone."""
    differ = [
        host.name
        for host in cluster.hosts
        if host.name in facts.heard
        and presence(facts.heard[host.name]) == "present"
        and (
            running_changes(cluster, host, facts.heard[host.name])
            or disk_changes(cluster, host, facts.heard[host.name])
        )
    ]
    if not differ:
        return []
    return [
        warned(
            "ChangesWait",
            f"{', '.join(differ)} differ from the spec; without quorum members are only started, as "
            "they lie on disk: nothing can be backed up or changed",
            next_step="run again afterwards for the changes",
        )
    ]


def _can_start(cluster: EtcdCluster, host: EtcdHost, facts: EtcdHostFacts) -> bool:
    """Whether it has its log, no process runs, and what else it needs is or can be put there."""
    if presence(facts) != "present":
        return False
    complete = facts.unit_file is not None and facts.config is not None and facts.version
    return not facts.unit.pid and (bool(complete) or _follows_wanted(cluster, host, facts))


def _follows_wanted(cluster: EtcdCluster, host: EtcdHost, facts: EtcdHostFacts) -> bool:
    return facts.generation == render_generation(cluster, host).identity


def _start(cluster: EtcdCluster, host: EtcdHost, facts: EtcdHostFacts) -> tuple[Step, ...]:
    # A unit that is failing over and over is stopped first, or systemd starts it in between.
    steps: list[Step] = [] if facts.unit.active == "inactive" else [HaltMember(host.name)]
    if facts.version and facts.version not in facts.releases:
        steps.append(InstallRelease(host.name, facts.version))
    content = at_start(cluster, found_content(facts), facts.unit_file)
    if _follows_wanted(cluster, host, facts) and disk_changes(cluster, host, facts):
        # Edited or lost since it was deployed: what was deployed is known, so nothing changes.
        steps.append(StageGeneration(host.name, render_generation(cluster, host)))
        steps.append(switch_step(cluster, host, facts))
        content = at_start(cluster, wanted_content(cluster, host))
    return (*steps, StartMember(host.name, unchanged=True, content=content), AwaitMember(host.name))


def _lost(cluster: EtcdCluster) -> Verdict:
    return failed(
        "NotQuorate",
        "the cluster has no quorum, and no member is stopped that could be started",
        next_step=f"see `quoracy status {cluster.name}`: look at the network between the members, "
        "or bring back the hosts that are away",
    )
