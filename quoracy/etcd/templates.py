"""Spec to files: what each host of an etcd cluster should hold, as text. Pure.

The files of one host that change together are one *generation*: the configuration, the unit, the
pre-start check and the version of the release. A generation is named by the digest of its content,
so that two hosts or two runs that want the same thing name it alike.
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from quoracy.etcd.spec import EtcdCluster, EtcdHost

BOOTSTRAP_KEYS = ("initial-cluster", "initial-cluster-state", "initial-cluster-token")

_templates = Environment(
    loader=PackageLoader("quoracy.etcd", "files"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    auto_reload=False,  # or each use asks the file system whether the file has changed
    autoescape=False,  # noqa: S701  YAML, units and shell are rendered, never HTML
)


@dataclass(frozen=True, slots=True)
class Generation:
    """What one host runs with: everything that changes together in one switch."""

    version: str
    config: str
    unit: str
    pre_start: str

    @property
    def identity(self) -> str:
        """Digest of the content, 12 hexadecimal digits; also the directory's name on the host."""
        text = "\0".join((self.version, self.config, self.unit, self.pre_start))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def files(self) -> dict[str, str]:
        """Content by file name within the generation's directory."""
        return {"etcd.yaml": self.config, "unit": self.unit, "pre-start": self.pre_start}


def render_generation(cluster: EtcdCluster, host: EtcdHost) -> Generation:
    """What the host should run with according to the spec."""
    common = {
        "cluster": cluster.name,
        "member": host.name,
        "config_dir": cluster.config_dir,
        "data_dir": cluster.data_dir,
        "wal_dir": cluster.directories.wal,
        "wal_dir_effective": cluster.wal_dir,
        "tuning": cluster.systemd.model_dump(),
    }
    settings = list(etcd_settings(cluster, host).items())
    return _generation(cluster.version, json.dumps({**common, "settings": settings}))


# A plan asks for each host's several times, and a roll makes a plan for each member.
@functools.lru_cache(maxsize=128)
def _generation(version: str, values: str) -> Generation:
    """The files that the values make; as text they can be remembered."""
    given = json.loads(values)
    return Generation(
        version=version,
        config=_templates.get_template("etcd.yaml.j2").render(given),
        unit=_templates.get_template("etcd.service.j2").render(given),
        pre_start=_templates.get_template("pre-start.j2").render(given),
    )


def etcd_settings(cluster: EtcdCluster, host: EtcdHost) -> dict[str, Any]:
    """Keys and values of the host's etcd configuration file, without the bootstrap keys."""
    wanted = cluster.etcd
    settings: dict[str, Any] = {
        "name": host.name,
        "data-dir": cluster.data_dir,
        "listen-client-urls": ",".join(
            (client_url(cluster, host), f"https://127.0.0.1:{cluster.ports.client}")
        ),
        "advertise-client-urls": client_url(cluster, host),
        "listen-peer-urls": peer_url(cluster, host),
        "initial-advertise-peer-urls": peer_url(cluster, host),
        "client-transport-security": _tls(cluster, "server"),
        "peer-transport-security": _tls(cluster, "peer"),
        "heartbeat-interval": wanted.heartbeat_interval_ms,
        "election-timeout": wanted.election_timeout_ms,
        "quota-backend-bytes": wanted.quota_backend_bytes,
        "metrics": wanted.metrics,
        # The documented default, which 3.4 forgets when it is given a configuration file.
        "enable-grpc-gateway": True,
        "logger": "zap",  # 3.4 still defaults to the logger that 3.5 removed
        "log-level": wanted.log_level,
        "log-outputs": ["stderr"],
    }
    if cluster.directories.wal:
        settings["wal-dir"] = cluster.wal_dir
    if wanted.auto_compaction_mode:
        settings["auto-compaction-mode"] = wanted.auto_compaction_mode
        settings["auto-compaction-retention"] = wanted.auto_compaction_retention
    if wanted.snapshot_count is not None:
        settings["snapshot-count"] = wanted.snapshot_count
    if wanted.corruption_check:
        settings |= _corruption_check(cluster.version)
    return settings | wanted.extra


def bootstrap_config(cluster: EtcdCluster, token: str) -> str:
    """The keys that etcd reads only at its first start; the token keeps clusters apart."""
    members = ",".join(f"{host.name}={peer_url(cluster, host)}" for host in cluster.hosts)
    return (
        f'initial-cluster: "{members}"\n'
        f'initial-cluster-token: "{token}"\n'
        'initial-cluster-state: "new"\n'
    )


def client_url(cluster: EtcdCluster, host: EtcdHost) -> str:
    """Where clients reach the member."""
    return f"https://{_bracketed(host.address)}:{cluster.ports.client}"


def peer_url(cluster: EtcdCluster, host: EtcdHost) -> str:
    """Where the other members reach the member."""
    return f"https://{_bracketed(host.peer)}:{cluster.ports.peer}"


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _tls(cluster: EtcdCluster, role: str) -> dict[str, Any]:
    directory = f"{cluster.config_dir}/tls"
    return {
        "cert-file": f"{directory}/{role}.pem",
        "key-file": f"{directory}/{role}.key",
        "trusted-ca-file": f"{directory}/ca.pem",
        "client-cert-auth": True,
    }


def _corruption_check(version: str) -> dict[str, Any]:
    """Renamed from a flag to a feature gate in 3.6 (upgrade_3_6)."""
    major, minor, _ = (int(part) for part in version.split("."))
    if (major, minor) >= (3, 6):
        return {"feature-gates": "InitialCorruptCheck=true"}
    return {"experimental-initial-corrupt-check": True}
