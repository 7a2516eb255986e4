"""Forming a new cluster, or finishing a create that was interrupted. Pure.

Three groups, each looked at afterwards: prepare the hosts side by side, start all members at once
(none becomes ready before a quorum of them runs), then pin the cluster's ID and mark the data.
"""

from __future__ import annotations

from collections.abc import Sequence

from quoracy.etcd.checks_alarms import warn_full
from quoracy.etcd.checks_certificates import WantedCertificates, check_given
from quoracy.etcd.facts import EtcdHostFacts
from quoracy.etcd.facts_cluster import EtcdFacts
from quoracy.etcd.plan.beside import beside_verdicts
from quoracy.etcd.plan.content import at_start, wanted_content
from quoracy.etcd.plan.member import follows, preparation, settings, switch_step
from quoracy.etcd.plan.places import check_places
from quoracy.etcd.plan.refusals import clock_warnings
from quoracy.etcd.spec import EtcdCluster, EtcdHost
from quoracy.etcd.steps import (
    AwaitMember,
    FinishBootstrap,
    FormMember,
    PinCluster,
    PrepareHost,
    WriteBootstrap,
    WriteCertificates,
)
from quoracy.etcd.templates import bootstrap_config, render_generation
from quoracy.operation.plan import Change, Group, Plan
from quoracy.operation.step import Step
from quoracy.operation.verdict import Verdict, failed


def plan_create(
    cluster: EtcdCluster,
    facts: EtcdFacts,
    token: str,
    certificates: WantedCertificates,
    general: Sequence[Verdict],
) -> Plan:
    """The plan that forms the cluster from wherever its hosts stand."""
    found = sorted({host.bootstrap for host in facts.heard.values() if host.bootstrap})
    content = found[0] if found else bootstrap_config(cluster, token)
    verdicts = [*general, *clock_warnings(facts), *_bootstrap_verdicts(cluster, facts, found)]
    verdicts += check_places(cluster, facts)
    verdicts += beside_verdicts(cluster, facts) + check_given(cluster, certificates, facts.asked_at)
    verdicts += [*_ca_verdicts(facts, certificates), *warn_full(facts)]
    fresh = not any(heard.has_log for heard in facts.heard.values())
    prepare = [
        step
        for host in cluster.hosts
        for step in _prepare(cluster, host, facts.heard[host.name], content, fresh=fresh)
    ]
    form = [s for h in cluster.hosts for s in _form(cluster, h, facts.heard[h.name], fresh=fresh)]
    finish = [
        FinishBootstrap(host.name)
        for host in cluster.hosts
        if not _finished(facts.heard[host.name])
    ]
    groups = [
        Group("prepare hosts", (), tuple(prepare), parallel=True),
        Group("form the cluster", (), tuple(form), parallel=True),
        # Once all members have served, the cluster is there: what is left is finished, not undone.
        Group("pin the cluster", (), (PinCluster(""), *finish), kept_after=PinCluster.name),
    ]
    verb = "finish the create of" if found else "create"
    return Plan(
        operation="etcd-deploy",
        cluster=cluster.name,
        kind="create",
        title=f"{verb} {cluster.name}: {len(cluster.hosts)} members of etcd {cluster.version}",
        verdicts=tuple(verdicts),
        changes=tuple(
            Change(host.name, "member", "", f"etcd {cluster.version} on {host.address}")
            for host in cluster.hosts
        ),
        groups=tuple(group for group in groups if group.steps),
        undoes="all",
        converges=True,
    )


def _prepare(
    cluster: EtcdCluster, host: EtcdHost, facts: EtcdHostFacts, content: str, *, fresh: bool
) -> list[Step]:
    if _finished(facts):
        return []
    steps: list[Step] = []
    # The keys of the first start are written last but one: without them, what else lies here may be
    # left from an earlier create with other addresses or another CA, and is written anew.
    if facts.bootstrap is None:
        steps += [PrepareHost(host.name), WriteCertificates(host.name)]
    steps += preparation(cluster, host, facts)
    if facts.bootstrap is None:
        steps.append(WriteBootstrap(host.name, content, withdraw=fresh))
    if not follows(cluster, host, facts):
        steps.append(switch_step(cluster, host, facts, withdraw=fresh))
    return steps


def _form(cluster: EtcdCluster, host: EtcdHost, facts: EtcdHostFacts, *, fresh: bool) -> list[Step]:
    if facts.unit.running and facts.healthy:
        return []
    content = at_start(cluster, wanted_content(cluster, host))
    return [FormMember(host.name, fresh, content), AwaitMember(host.name)]


def _finished(facts: EtcdHostFacts) -> bool:
    return facts.config_cluster_id is not None and facts.bootstrap is None


def _bootstrap_verdicts(
    cluster: EtcdCluster, facts: EtcdFacts, found: Sequence[str]
) -> list[Verdict]:
    """An interrupted create is finished only as it was begun."""
    members = bootstrap_config(cluster, "").splitlines()[0]
    differ = []
    if len(found) > 1 or any(content.splitlines()[0] != members for content in found):
        differ.append("members")
    if any(_lies_elsewhere(cluster, host, facts.heard[host.name]) for host in cluster.hosts):
        differ.append("directories")
    return [
        failed(
            "CreateDiffers",
            f"an interrupted create was begun with other {what} than the spec names",
            next_step="restore the spec it was begun with and run again",
        )
        for what in differ
    ]


def _lies_elsewhere(cluster: EtcdCluster, host: EtcdHost, facts: EtcdHostFacts) -> bool:
    """Whether a create under way has put its data elsewhere: what lies at the wanted place is not its own."""
    if facts.bootstrap is None or facts.config is None:
        return False
    begun, wanted = settings(facts.config), settings(render_generation(cluster, host).config)
    return any(begun.get(key) != wanted.get(key) for key in ("data-dir", "wal-dir"))


def _ca_verdicts(facts: EtcdFacts, certificates: WantedCertificates) -> list[Verdict]:
    """A create is finished with the CA it was begun with, or its members never trust each other."""
    return [
        failed(
            "CertificatesDiffer",
            "the interrupted create was begun with a CA that this controller does not have",
            where=name,
            next_step="finish it from the controller (and QUORACY_HOME) where it was begun",
        )
        for name, heard in facts.heard.items()
        if heard.bootstrap is not None
        and heard.certificates.get("ca.pem", b"").strip() != (certificates.ca or b"").strip()
    ]
