"""What is wanted of one etcd cluster: the model behind `cluster.yaml` of kind etcd."""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from quoracy.spec.etcd_keys import lint_extra_keys
from quoracy.spec.host import SshTarget

_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
MAX_MEMBERS = 7  # etcd's FAQ: more members cost write latency and win nothing.


class Model(BaseModel):
    """Base of the spec models: immutable, and a misspelt key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _ip(value: str) -> str:
    """One spelling per address, so that it compares with certificates and member lists."""
    # A zone (fe80::1%eth0) may hold any characters, and no certificate can cover it.
    if "%" not in value:
        with suppress(ValueError):
            return str(ipaddress.ip_address(value))
    raise ValueError("must be an IP address without a zone: etcd listens on no names")


def _address(value: str) -> str:
    """An IP address in its canonical form, as certificates hold it, or a DNS name."""
    with suppress(ValueError):
        return _ip(value)
    if len(value) > 253 or not re.fullmatch(rf"{_LABEL}(\.{_LABEL})*", value):
        raise ValueError("is neither an IP address nor a DNS name")
    return value


def _directory(value: str) -> str:
    path = PurePosixPath(value)
    if not path.is_absolute() or ".." in path.parts or len(path.parts) < 3:
        raise ValueError("must be an absolute path at least two levels deep, without '..'")
    if not re.fullmatch(r"[A-Za-z0-9._/-]+", value):
        raise ValueError("may hold letters, digits, '.', '_', '-' and '/' only")
    return str(path)


Name = Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$")]
# Certificates name "<host>-server" as their subject, which has room for 64 characters.
HostName = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$", max_length=57
    ),
]
_NUMBER = "(0|[1-9][0-9]{0,8})"
Version = Annotated[str, StringConstraints(pattern=rf"^{_NUMBER}\.{_NUMBER}\.{_NUMBER}$")]
IpAddress = Annotated[str, AfterValidator(_ip)]
Address = Annotated[str, AfterValidator(_address)]
Directory = Annotated[str, AfterValidator(_directory)]
Port = Annotated[int, Field(ge=1, le=65535)]
LocalPath = Annotated[str, StringConstraints(min_length=1, pattern=r"^[^\x00\r\n]+$")]
SystemdValue = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9%._-]+$")]


class Ssh(Model):
    """How hosts are reached; a host's own block wins over the cluster's, key by key."""

    user: Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")] | None = Field(
        None, description="Login; anything but root needs passwordless sudo. Default: root."
    )
    port: Port | None = Field(None, description="TCP port of sshd. Default: 22.")
    key_file: LocalPath | None = Field(
        None, description="Private key on the controller. Default: the SSH agent."
    )
    known_hosts: LocalPath | None = Field(
        None, description="Trusted host keys. Default: known_hosts in QUORACY_HOME."
    )
    gateway: Address | None = Field(
        None, description="Host that connections go through (same user, port and key)."
    )


class EtcdHost(Model):
    """A host that carries one member; the member is named like the host."""

    name: HostName = Field(description="Stable name of host and member; never reused.")
    address: IpAddress = Field(description="Where SSH and etcd's clients reach the host.")
    peer_address: IpAddress | None = Field(
        None, description="Where the other members reach it. Default: address."
    )
    ssh: Ssh = Field(default_factory=Ssh)

    @property
    def peer(self) -> str:
        """Address that the other members use."""
        return self.peer_address or self.address


class Ports(Model):
    """TCP ports of every member; several clusters on a host need different ones."""

    client: Port = Field(2379, description="Port for clients.")
    peer: Port = Field(2380, description="Port for the other members.")


class TlsFiles(Model):
    """Certificates made elsewhere; `{host}` and `{role}` (peer, server, client) are filled in."""

    ca: LocalPath = Field(description="PEM file of the trusted CA on the controller.")
    certificate: LocalPath = Field(description="For example /pki/{host}-{role}.pem.")
    key: LocalPath = Field(description="For example /pki/{host}-{role}.key.")


class Tls(Model):
    """Where certificates come from: Quoracy's own CA (default) or given files."""

    files: TlsFiles | None = Field(None, description="Given files instead of an own CA.")
    valid_days: int = Field(365, ge=1, le=3650, description="Validity of the own CA's leaves.")


class Directories(Model):
    """Directories on the hosts; the defaults hold the cluster's name."""

    data: Directory | None = Field(None, description="Default: /var/lib/etcd/<cluster>.")
    wal: Directory | None = Field(None, description="Default: inside the data directory.")
    config: Directory | None = Field(None, description="Default: /etc/etcd/<cluster>.")
    bin: Directory = Field("/opt/etcd", description="One directory per version is made in it.")


class EtcdSettings(Model):
    """Settings of etcd itself; all members have the same."""

    heartbeat_interval_ms: int = Field(
        100, ge=10, le=5000, description="About the largest round-trip time between members."
    )
    election_timeout_ms: int = Field(
        1000, ge=50, le=50000, description="At least 10 round trips and 5 heartbeats."
    )
    quota_backend_bytes: int = Field(
        2 * 1024**3, ge=1024**2, le=16 * 1024**3, description="Bytes; etcd advises at most 8 GiB."
    )
    auto_compaction_mode: Literal["periodic", "revision"] | None = Field(
        None, description="Off by default, as in etcd (Kubernetes compacts by itself)."
    )
    auto_compaction_retention: (
        Annotated[str, StringConstraints(pattern=r"^[0-9]+[smh]?$")] | None
    ) = Field(None, description="For example 8h (periodic) or 10000 (revision).")
    snapshot_count: int | None = Field(None, ge=100, description="Default: that of the version.")
    metrics: Literal["basic", "extensive"] = "basic"
    log_level: Literal["debug", "info", "warn", "error"] = "info"
    corruption_check: bool = Field(
        True, description="Compare the data with the other members before serving, at each start."
    )
    extra: dict[str, Any] = Field(
        default_factory=dict,
        description="Further keys of etcd's configuration file, checked against the version.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> EtcdSettings:
        if self.election_timeout_ms < 5 * self.heartbeat_interval_ms:
            raise ValueError(
                "election_timeout_ms must be at least 5 x heartbeat_interval_ms (etcd refuses less)"
            )
        if (self.auto_compaction_mode is None) != (self.auto_compaction_retention is None):
            raise ValueError("auto_compaction_mode and auto_compaction_retention go together")
        return self


class SystemdTuning(Model):
    """What the unit asks of systemd; unset means systemd's default."""

    nice: int | None = Field(None, ge=-20, le=19)
    io_class: Literal["realtime", "best-effort", "idle"] | None = None
    io_priority: int | None = Field(None, ge=0, le=7)
    memory_max: SystemdValue | None = Field(None, description="For example 8G.")
    cpu_quota: SystemdValue | None = Field(None, description="For example 200%.")
    limit_nofile: int = Field(65536, ge=1024, le=1048576)
    start_timeout_s: int = Field(120, ge=10, le=3600, description="Seconds until ready.")
    stop_timeout_s: int = Field(30, ge=5, le=600, description="Seconds until killed.")


class S3Backup(Model):
    """A bucket; keys are references (env:NAME, file:/path, block:name), never the keys themselves."""

    endpoint: Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$")] | None = None
    bucket: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._/-]*$")] = ""
    region: str = "us-east-1"
    access_key: Annotated[str, StringConstraints(pattern=r"^(env|file|block):.+$")]
    secret_key: Annotated[str, StringConstraints(pattern=r"^(env|file|block):.+$")]


class Backup(Model):
    """Where snapshots go; a change of it restarts nothing."""

    directory: LocalPath | None = Field(
        None, description="On the controller. Default: snapshots in QUORACY_HOME."
    )
    s3: S3Backup | None = None

    @model_validator(mode="after")
    def _one(self) -> Backup:
        if self.directory and self.s3:
            raise ValueError("give either directory or s3, not both")
        return self


class ReleaseSourceSpec(Model):
    """Where etcd's archives come from."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$")] | None = Field(
        None, description="Base URL of a mirror. Default: upstream's."
    )
    directory: LocalPath | None = Field(
        None, description="Directory of archives with a SHA256SUMS file, on the controller."
    )

    @model_validator(mode="after")
    def _one(self) -> ReleaseSourceSpec:
        if self.url and self.directory:
            raise ValueError("give either url or directory, not both")
        return self


class EtcdCluster(Model):
    """One etcd cluster, as its owner wants it."""

    kind: Literal["etcd"]
    name: Name
    version: Version
    hosts: Annotated[tuple[EtcdHost, ...], Field(min_length=1, max_length=MAX_MEMBERS)]
    ssh: Ssh = Field(default_factory=Ssh)
    ports: Ports = Field(default_factory=Ports)
    tls: Tls = Field(default_factory=Tls)
    directories: Directories = Field(default_factory=Directories)
    etcd: EtcdSettings = Field(default_factory=EtcdSettings)
    systemd: SystemdTuning = Field(default_factory=SystemdTuning)
    backup: Backup = Field(default_factory=Backup)
    release: ReleaseSourceSpec = Field(default_factory=ReleaseSourceSpec)

    @model_validator(mode="after")
    def _consistent(self) -> EtcdCluster:
        if self.ports.client == self.ports.peer:
            raise ValueError("ports.client and ports.peer must differ")
        for what, values in (
            ("name", [host.name for host in self.hosts]),
            ("address", [host.address for host in self.hosts]),
            ("peer address", [host.peer for host in self.hosts]),
        ):
            twice = sorted({value for value in values if values.count(value) > 1})
            if twice:
                raise ValueError(f"hosts: {what} {', '.join(twice)} is used more than once")
        lint_extra_keys(self.version, self.etcd.extra)
        return self

    @property
    def data_dir(self) -> str:
        """etcd's data directory on every host."""
        return self.directories.data or f"/var/lib/etcd/{self.name}"

    @property
    def wal_dir(self) -> str:
        """Directory of the write-ahead log on every host.

        etcd makes and renames it itself, so `directories.wal` is its parent, which may be a mount.
        """
        return f"{self.directories.wal or f'{self.data_dir}/member'}/wal"

    @property
    def config_dir(self) -> str:
        """Directory of generations, certificates and the link `current` on every host."""
        return self.directories.config or f"/etc/etcd/{self.name}"

    @property
    def unit(self) -> str:
        """Name of the systemd unit on every host."""
        return f"etcd-{self.name}.service"

    def host(self, name: str) -> EtcdHost:
        """The host of that name; KeyError when there is none."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise KeyError(name)

    def release_dir(self, version: str) -> str:
        """Directory of one etcd version on every host."""
        return f"{self.directories.bin}/{version}"

    def at_version(self, version: str) -> EtcdCluster:
        """The same cluster at another version, validated again."""
        return EtcdCluster.model_validate({**self.model_dump(), "version": version})


def ssh_targets(cluster: EtcdCluster, *, default_known_hosts: str) -> tuple[SshTarget, ...]:
    """How each host of the cluster is reached, in the spec's order."""
    targets = []
    for host in cluster.hosts:
        own, common = host.ssh, cluster.ssh
        user = own.user or common.user or "root"
        port = own.port or common.port or 22
        key_file = own.key_file or common.key_file
        known_hosts = own.known_hosts or common.known_hosts or default_known_hosts
        via = own.gateway or common.gateway
        gateway = SshTarget(via, via, port, user, key_file, known_hosts) if via else None
        targets.append(
            SshTarget(host.name, host.address, port, user, key_file, known_hosts, gateway)
        )
    return tuple(targets)
