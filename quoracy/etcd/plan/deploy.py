"""The plan of `etcd-deploy`: create what is not there, roll what differs, leave alone what fits. Pure.

One code path with three entry validations (create, upgrade, deploy). The order of a roll: members
that are down first, then followers, the leader last, so that a roll costs one change of leader.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from quoracy.etcd.checks_certificates import WantedCertificates
from quoracy.etcd.checks_quorum import quorate, quorum
from quoracy.etcd.facts import EtcdHostFacts
from quoracy.etcd.facts_cluster import EtcdFacts, presence
from quoracy.etcd.params import Action, DeployOption
from quoracy.etcd.plan.change import plan_change
from quoracy.etcd.plan.create import plan_create
from quoracy.etcd.plan.refusals import refuse_unusable, spec_verdicts
from quoracy.etcd.plan.start import plan_start
from quoracy.etcd.spec import EtcdCluster
from quoracy.operation.plan import Plan
from quoracy.operation.verdict import Status, Verdict, failed


@dataclass(frozen=True, slots=True)
class DeployRequest:
    """What was asked for, and what the controller knows that is on no host.

    Attributes:
        pinned_cluster_id: The ID remembered at the cluster's creation; None before it.
        token: Random text that tells a new cluster apart from earlier ones of the same name.
        certificates: What the controller knows of the wanted certificates.
        start_only: Start stopped members as they lie on disk, and leave everything else alone.
    """

    pinned_cluster_id: str | None
    token: str
    certificates: WantedCertificates
    action: Action = Action.DEPLOY
    option: DeployOption | None = None
    allow_downtime: bool = False
    allow_bad_version: bool = False
    start_only: bool = False


def plan_etcd_deploy(cluster: EtcdCluster, facts: EtcdFacts, request: DeployRequest) -> Plan:
    """Decide what `etcd-deploy` does.

    Returns:
        A plan; when a check stands against it, `plan.refused` is true and it is only shown.
    """
    unusable = refuse_unusable(cluster, facts, request.pinned_cluster_id)
    general = spec_verdicts(cluster, allow_bad_version=request.allow_bad_version)
    found = {presence(host) for host in facts.hosts.values()}
    exists = bool(found - {"absent", "silent"})
    if unusable and _may_start_others(facts, unusable, start_only=request.start_only):
        plan = plan_start(cluster, facts, request.certificates)
        borne = tuple(replace(one, status=Status.WARN) for one in unusable)
        if plan.groups or request.start_only:
            return replace(plan, verdicts=(*general, *borne, *plan.verdicts))
    if unusable:
        # Of hosts that could not be asked it is not known whether they carry anything.
        unsure = not exists and "silent" in found
        return _nothing(
            cluster,
            "cannot be decided",
            [*general, *unusable, *([] if unsure else _entry(cluster, facts, request, exists))],
        )
    if "bootstrapping" in found or not exists:
        plan = plan_create(cluster, facts, request.token, request.certificates, general)
        validated = _entry(cluster, facts, request, exists and _formed(facts))
    elif request.start_only or not quorate(facts):
        plan = plan_start(cluster, facts, request.certificates)
        validated = _entry(cluster, facts, request, exists)
    else:
        plan = plan_change(
            cluster, facts, request.certificates, general, allow_downtime=request.allow_downtime
        )
        validated = _entry(cluster, facts, request, exists)
    return replace(plan, verdicts=(*validated, *plan.verdicts))


# What is wrong with single hosts, while others may be started.
_BORNE = ("HostSilent",)


def _may_start_others(facts: EtcdFacts, unusable: Sequence[Verdict], *, start_only: bool) -> bool:
    """Whether stopped members are started beside hosts that are away, to get a quorum back.

    Only when those that are left are enough for one. Starting a member as it lies on disk is safe
    whatever the others are; and after a power failure it must not depend on the one host that stays
    dark.
    """
    bearable = all(one.reason in _BORNE for one in unusable if one.stops)
    there = sum(presence(host) == "present" for host in facts.hosts.values())
    enough = there >= quorum(len(facts.hosts))
    return bearable and enough and (start_only or not quorate(facts))


def _formed(facts: EtcdFacts) -> bool:
    """Whether any host carries a finished member; an interrupted create may still be created."""
    return any(presence(host) == "present" for host in facts.hosts.values())


def _entry(
    cluster: EtcdCluster, facts: EtcdFacts, request: DeployRequest, exists: bool
) -> list[Verdict]:
    """The three entry validations and the two options of the requirement's matrix."""
    creating = request.action is Action.CREATE or request.option is DeployOption.FORCE_CREATE
    if creating and exists:
        return [
            failed(
                "ClusterExists",
                f"cluster {cluster.name} exists on {_carriers(facts)}; create works only where nothing is",
                next_step=f"`quoracy etcd-deploy {cluster.name}` changes an existing cluster",
            )
        ]
    needs_one = request.action is Action.UPGRADE or request.option is DeployOption.NO_UPGRADE
    if needs_one and not exists:
        what = "upgrade" if request.action is Action.UPGRADE else "report on"
        return [
            failed(
                "NoCluster",
                f"there is nothing to {what}: no host of {cluster.name} carries a member",
                next_step=f"`quoracy etcd-deploy {cluster.name}` creates it",
            )
        ]
    return []


def _carriers(facts: EtcdFacts) -> str:
    names = [
        name
        for name, host in facts.hosts.items()
        if isinstance(host, EtcdHostFacts) and presence(host) != "absent"
    ]
    return ", ".join(names)


def _nothing(cluster: EtcdCluster, title: str, verdicts: list[Verdict]) -> Plan:
    return Plan("etcd-deploy", cluster.name, "nothing", title, verdicts=tuple(verdicts))
