"""etcdctl calls as argv tuples; etcdctl of the cluster's own release runs on the host. Pure."""

from __future__ import annotations

from quoracy.etcd.spec import EtcdCluster
from quoracy.hosts.script import Argv


def etcdctl(cluster: EtcdCluster, *words: str, timeout_s: int = 5) -> Argv:
    """An etcdctl call to the host's own member, with the host's own client certificate.

    Args:
        words: The command, for example ("endpoint", "health").
        timeout_s: Seconds for the command and for dialling.
    """
    tls = f"{cluster.config_dir}/tls"
    return (
        # etcdctl dies when a variable such as ETCDCTL_CACERT is set beside its flag.
        "env",
        "-i",
        f"{cluster.config_dir}/current/release/etcdctl",
        f"--endpoints={local_endpoint(cluster)}",
        f"--cacert={tls}/ca.pem",
        f"--cert={tls}/client.pem",
        f"--key={tls}/client.key",
        f"--command-timeout={timeout_s}s",
        f"--dial-timeout={min(timeout_s, 2)}s",
        *words,
    )


def local_endpoint(cluster: EtcdCluster) -> str:
    """The host's own member, on loopback."""
    return f"https://127.0.0.1:{cluster.ports.client}"


def endpoint_status(cluster: EtcdCluster) -> Argv:
    """Version, leader, indices, revision and alarms; answers without quorum as well."""
    return etcdctl(cluster, "endpoint", "status", "--write-out=json")


def linearizable_read(cluster: EtcdCluster) -> Argv:
    """A read through the host's own member that needs a quorum; its header tells the member's revision.

    Whether the key exists is all the same.
    """
    return etcdctl(cluster, "get", "health", "--keys-only", "--write-out=json")


def endpoint_health(cluster: EtcdCluster) -> Argv:
    """The same read, which may be denied; from 3.5 on it fails under any alarm, and asks for them by a write."""
    return etcdctl(cluster, "endpoint", "health", "--write-out=json")


def member_list(cluster: EtcdCluster) -> Argv:
    """Members as the host's own member knows them; needs quorum from 3.5 on."""
    return etcdctl(cluster, "member", "list", "--write-out=json")


def endpoint_hashkv(cluster: EtcdCluster, revision: int, timeout_s: int) -> Argv:
    """The hash of the host's own member over all keys up to a revision; answers without quorum as well."""
    words = ("endpoint", "hashkv", f"--rev={revision}", "--write-out=json")
    return etcdctl(cluster, *words, timeout_s=timeout_s)


def snapshot_save(cluster: EtcdCluster, path: str, timeout_s: int) -> Argv:
    """A snapshot of the host's own member; needs one endpoint and no quorum."""
    return etcdctl(cluster, "snapshot", "save", path, timeout_s=timeout_s)


def snapshot_status(cluster: EtcdCluster, path: str) -> str:
    """Fragment that prints revision and key count of a snapshot; no integrity check by itself.

    etcdutl took this over in 3.5 and 3.4 does not have it; etcdctl lost it in 3.6. The release that
    the host follows decides, which in an upgrade is still the old one.
    """
    release = f"{cluster.config_dir}/current/release"
    words = f"snapshot status {path} --write-out=json"
    return (
        f"if [ -x {release}/etcdutl ]; then {release}/etcdutl {words}; "
        f"else {release}/etcdctl {words}; fi"
    )
