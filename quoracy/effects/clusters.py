"""Rules between clusters: several may share a host, but not its ports or directories."""

from __future__ import annotations

from quoracy.db.clusters import list_clusters
from quoracy.db.session import Database
from quoracy.errors import UsageError
from quoracy.spec.etcd import EtcdCluster


def require_no_port_clash(db: Database, cluster: EtcdCluster) -> None:
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
