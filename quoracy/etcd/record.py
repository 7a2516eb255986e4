"""What the database holds of clusters; several may share a host, but not its ports or directories."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import ValidationError

from quoracy.db.clusters import (
    Applied,
    NodeRow,
    addresses_of,
    apply_cluster,
    get_cluster,
    list_clusters,
)
from quoracy.db.models import Cluster
from quoracy.db.session import Database
from quoracy.errors import UsageError
from quoracy.etcd.spec import EtcdCluster, recorded_cluster
from quoracy.home import Home
from quoracy.hosts.targets import SshTarget, ssh_targets
from quoracy.specs.fields import place_of, within


def record_cluster(db: Database, cluster: EtcdCluster) -> Applied:
    """Record what is wanted of a cluster; changes no host.

    Raises:
        UsageError: Another cluster has claimed the same ports or directories on a shared host.
        Refused: A cluster of this name and another kind exists.
    """
    _require_no_clash(db, cluster)
    return apply_cluster(
        db,
        name=cluster.name,
        kind=cluster.kind,
        version=cluster.version,
        spec_json=cluster.model_dump_json(),
        nodes=[NodeRow(host.name, "member", host.address, {}) for host in cluster.hosts],
        now=datetime.now(UTC),
    )


def recorded_targets(db: Database, home: Home, name: str) -> tuple[SshTarget, ...]:
    """How the hosts of a cluster are reached, as it was recorded last.

    Raises:
        UsageError: It never was.
        ValueError: What is recorded cannot be used any more.
    """
    cluster = recorded_cluster(get_cluster(db, name).spec)
    return ssh_targets(cluster, default_known_hosts=str(home.known_hosts))


def _require_no_clash(db: Database, cluster: EtcdCluster) -> None:
    """Refuse a cluster that wants what another one has on a host they share.

    Raises:
        UsageError: Naming the other cluster, the host and what both want.
    """
    rows = list_clusters(db)
    known = any(row.name == cluster.name for row in rows)
    for row in rows:
        if row.kind != "etcd" or row.name == cluster.name:
            continue
        other = _recorded(row)
        if not isinstance(other, EtcdCluster):
            # Correcting a known one is never held up, or two that cannot be read would hold up each other.
            if not known and _addresses(cluster) & addresses_of(db, row.name):
                raise other
            continue
        shared = _addresses(cluster) & _addresses(other)
        clash = _clashes(cluster, other)
        if shared and clash:
            raise UsageError(
                f"{', '.join(clash)} on {', '.join(sorted(shared))} belongs to cluster {other.name}",
                where=cluster.name,
                next_step=f"choose other ports and directories than `quoracy cluster show {other.name}` has",
            )


def _recorded(row: Cluster) -> EtcdCluster | UsageError:
    """The other cluster, or what to say when its spec cannot be read."""
    try:
        return recorded_cluster(row.spec)
    except ValidationError as error:
        fields = [".".join(map(str, place_of(detail))) or "spec" for detail in error.errors()]
        return UsageError(
            f"its recorded spec cannot be read any more ({', '.join(fields[:5])}), so it is not known "
            "which ports and directories are its own",
            where=row.name,
            next_step=f"correct and apply the cluster.yaml of {row.name}, or `quoracy cluster forget {row.name}`",
        )


def _addresses(cluster: EtcdCluster) -> set[str]:
    return {address for host in cluster.hosts for address in (host.address, host.peer)}


def _clashes(cluster: EtcdCluster, other: EtcdCluster) -> list[str]:
    """What both clusters want: a port, or a directory that is, or lies in, one of the other's."""
    ports = set(_ports(cluster)) & set(_ports(other))
    taken = _directories(other)
    directories = [
        path
        for path in dict.fromkeys(_directories(cluster))
        if any(within(path, one) or within(one, path) for one in taken)
    ]
    return [f"port {port}" for port in sorted(ports)] + [f"directory {d}" for d in directories]


def _ports(cluster: EtcdCluster) -> tuple[int, int]:
    return cluster.ports.client, cluster.ports.peer


def _directories(cluster: EtcdCluster) -> list[str]:
    """The member's own directories; releases may be shared."""
    own = [cluster.data_dir, cluster.config_dir]
    return own if within(cluster.wal_dir, cluster.data_dir) else [*own, cluster.wal_dir]
