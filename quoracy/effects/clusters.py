"""Rules between clusters: several may share a host, but not its ports or directories."""

from __future__ import annotations

from datetime import UTC, datetime

from quoracy.db.clusters import Applied, NodeRow, apply_cluster, list_clusters
from quoracy.db.session import Database
from quoracy.errors import UsageError
from quoracy.spec.etcd import EtcdCluster


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


def _require_no_clash(db: Database, cluster: EtcdCluster) -> None:
    """Refuse a cluster that wants what another one has on a host they share.

    Raises:
        UsageError: Naming the other cluster, the host and what both want.
    """
    for row in list_clusters(db):
        if row.kind != "etcd" or row.name == cluster.name:
            continue
        other = EtcdCluster.model_validate_json(row.spec)
        shared = {host.address for host in cluster.hosts} & {host.address for host in other.hosts}
        clash = _claims(cluster) & _claims(other)
        if shared and clash:
            raise UsageError(
                f"{', '.join(sorted(clash))} on {', '.join(sorted(shared))} belongs to cluster {other.name}",
                where=cluster.name,
                next_step="choose other ports and directories",
            )


def _claims(cluster: EtcdCluster) -> set[str]:
    return {
        f"port {cluster.ports.client}",
        f"port {cluster.ports.peer}",
        f"directory {cluster.data_dir}",
        f"directory {cluster.wal_dir}",
        f"directory {cluster.config_dir}",
    }
