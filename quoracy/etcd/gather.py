"""Ask the hosts, one round trip each and side by side, and return facts. Changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime

from quoracy.errors import RemoteError
from quoracy.etcd.facts import (
    EtcdHostFacts,
    MemberPoll,
    etcd_questions,
    parse_etcd_host,
    parse_poll,
    poll_questions,
)
from quoracy.etcd.facts_cluster import EtcdFacts
from quoracy.etcd.spec import EtcdCluster
from quoracy.hosts.host import Host
from quoracy.hosts.looks import ask, everywhere
from quoracy.hosts.machine import HostSilent
from quoracy.hosts.pool import HostPool
from quoracy.hosts.question import ask_all, parse_answers


def gather_etcd(cluster: EtcdCluster, pool: HostPool) -> EtcdFacts:
    """What all hosts of the cluster say; a host that cannot be asked is silent, not left out."""
    asked_at = datetime.now(UTC)
    question = ask_all(etcd_questions(cluster))

    def parse(output: bytes) -> EtcdHostFacts:
        return parse_etcd_host(cluster, parse_answers(output))

    def look(host: Host) -> EtcdHostFacts:
        return ask(host, question, parse, what="look at the host", timeout=20.0)

    return EtcdFacts(
        hosts=everywhere(pool, [host.name for host in cluster.hosts], look),
        asked_at=asked_at,
        took_s=(datetime.now(UTC) - asked_at).total_seconds(),
    )


def poll_member(cluster: EtcdCluster, host: Host) -> MemberPoll:
    """A quick look at one member."""
    question = ask_all(poll_questions(cluster))
    return ask(
        host,
        question,
        lambda output: parse_poll(parse_answers(output)),
        what="look at the member",
    )


def seen_from(facts: EtcdFacts, name: str) -> MemberPoll:
    """The view of one member in a look at all hosts.

    Raises:
        RemoteError: Its host could not be asked.
    """
    host = facts.hosts[name]
    if isinstance(host, HostSilent):
        raise RemoteError(f"the host could not be asked: {host.reason}", where=name)
    return MemberPoll(unit=host.unit, uptime_s=host.host.uptime_s, healthy=host.healthy)
