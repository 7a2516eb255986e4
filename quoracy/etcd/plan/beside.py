"""What stands on the hosts beside the cluster that a create would make. Pure.

An etcd that Quoracy did not make is left alone and named, and no create is made beside it: whoever
follows a hint to stop it ends with an empty cluster on the addresses of the one that holds their data.
"""

from __future__ import annotations

from quoracy.etcd.facts import EtcdHostFacts
from quoracy.etcd.facts_cluster import EtcdFacts
from quoracy.etcd.facts_neighbours import OtherCluster
from quoracy.etcd.spec import EtcdCluster
from quoracy.operation.verdict import Verdict, failed
from quoracy.specs.fields import within

MOST_NAMED = 5
LEFT_ALONE = "it is left alone: name other hosts in the spec; taking over an etcd that is there already is not built yet"


def beside_verdicts(cluster: EtcdCluster, facts: EtcdFacts) -> list[Verdict]:
    """Reasons not to create the cluster on these hosts."""
    return [
        verdict
        for name, heard in facts.heard.items()
        for verdict in (
            *_foreign(name, heard),
            *_overlapping(cluster, name, heard),
            *_ports(cluster, name, heard),
        )
    ]


def _foreign(name: str, heard: EtcdHostFacts) -> list[Verdict]:
    foreign = [str(one) for one in heard.neighbours.foreign]
    if not foreign:
        return []
    more = f"; and {len(foreign) - MOST_NAMED} more" if len(foreign) > MOST_NAMED else ""
    return [
        failed(
            "ForeignEtcd",
            f"an etcd that Quoracy did not make is there: {'; '.join(foreign[:MOST_NAMED])}{more}",
            where=name,
            next_step=LEFT_ALONE,
        )
    ]


def _overlapping(cluster: EtcdCluster, name: str, heard: EtcdHostFacts) -> list[Verdict]:
    """Several clusters may share a host, but no directory."""
    return [
        failed(
            "PlacesTaken",
            f"cluster {other.name} has its directories there: {', '.join(taken)}",
            where=name,
            next_step="choose other directories in the spec",
        )
        for other in heard.neighbours.ours
        if (taken := _taken(cluster, other))
    ]


def _taken(cluster: EtcdCluster, other: OtherCluster) -> list[str]:
    own = {cluster.config_dir, cluster.data_dir, cluster.wal_dir}
    return sorted(
        path
        for path in other.directories
        if any(path == one or within(path, one) or within(one, path) for one in own)
    )


def _ports(cluster: EtcdCluster, name: str, heard: EtcdHostFacts) -> list[Verdict]:
    holders = dict(heard.neighbours.holders)
    return [
        failed(
            "PortTaken",
            f"port {port} is in use by {holders.get(port, 'something else')}",
            where=name,
            next_step="choose other ports in the spec, or other hosts",
        )
        for port in (cluster.ports.client, cluster.ports.peer)
        if port in heard.host.listening and not heard.unit.pid
    ]
