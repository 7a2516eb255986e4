"""What is wanted of one etcd cluster: the model behind `cluster.yaml` of kind etcd."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from quoracy.etcd.spec_keys import lint_extra_keys
from quoracy.hosts.targets import Ssh
from quoracy.specs.fields import (
    RECORDED,
    Bucket,
    CpuQuota,
    Directory,
    ExtraValue,
    HostName,
    IpAddress,
    LocalPath,
    LogParent,
    MemoryMax,
    Misplaced,
    Model,
    Name,
    Port,
    Prefix,
    Region,
    Retention,
    SecretRef,
    Url,
    Version,
    is_recorded,
    within,
)

MAX_MEMBERS = 7  # etcd's FAQ: more members cost write latency and win nothing.


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

    @model_validator(mode="after")
    def _differ(self) -> Ports:
        if self.client == self.peer:
            raise ValueError("ports.client and ports.peer must differ")
        return self


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
    wal: LogParent | None = Field(None, description="Default: inside the data directory.")
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
    auto_compaction_retention: Retention | None = Field(
        None, description="For example 8h (periodic) or 10000 (revision)."
    )
    snapshot_count: int | None = Field(
        None, ge=100, le=100_000_000, description="Default: that of the version."
    )
    metrics: Literal["basic", "extensive"] = "basic"
    log_level: Literal["debug", "info", "warn", "error"] = "info"
    corruption_check: bool = Field(
        True, description="Compare the data with the other members before serving, at each start."
    )
    extra: dict[str, ExtraValue] = Field(
        default_factory=dict,
        description="Further keys of etcd's configuration file, checked against the version.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> EtcdSettings:
        if self.election_timeout_ms < 5 * self.heartbeat_interval_ms:
            raise Misplaced(
                "election_timeout_ms must be at least 5 x heartbeat_interval_ms (etcd refuses less)",
                ("election_timeout_ms",),
            )
        mode, retention = self.auto_compaction_mode, self.auto_compaction_retention
        if (mode is None) != (retention is None):
            raise ValueError("auto_compaction_mode and auto_compaction_retention go together")
        if mode == "revision" and retention and not retention.isdigit():
            raise Misplaced(
                'must be a number of revisions like "10000" in this mode',
                ("auto_compaction_retention",),
            )
        return self


class SystemdTuning(Model):
    """What the unit asks of systemd; unset means systemd's default."""

    nice: int | None = Field(None, ge=-20, le=19)
    io_class: Literal["realtime", "best-effort", "idle"] | None = None
    io_priority: int | None = Field(None, ge=0, le=7)
    memory_max: MemoryMax | None = Field(None, description="For example 8G.")
    cpu_quota: CpuQuota | None = Field(None, description="For example 200%.")
    limit_nofile: int = Field(65536, ge=1024, le=1048576)
    start_timeout_s: int = Field(120, ge=10, le=3600, description="Seconds until ready.")
    stop_timeout_s: int = Field(30, ge=5, le=600, description="Seconds until killed.")


class S3Backup(Model):
    """A bucket; keys are references (env:NAME, file:/path, block:name), never the keys themselves."""

    endpoint: Url | None = None
    bucket: Bucket
    prefix: Prefix = ""
    region: Region = "us-east-1"
    access_key: SecretRef
    secret_key: SecretRef


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

    url: Url | None = Field(None, description="Base URL of a mirror. Default: upstream's.")
    directory: LocalPath | None = Field(
        None, description="Directory of archives with a SHA256SUMS file, on the controller."
    )

    @model_validator(mode="after")
    def _one(self) -> ReleaseSourceSpec:
        if self.url and self.directory:
            raise ValueError("give either url or directory, not both")
        return self


def _hosts(hosts: tuple[EtcdHost, ...]) -> tuple[EtcdHost, ...]:
    """One to seven different hosts; no address belongs to two of them."""
    if not 1 <= len(hosts) <= MAX_MEMBERS:
        raise ValueError(f"a cluster has 1 to {MAX_MEMBERS} hosts, this one {len(hosts)}")
    _require_unique("name", ((host.name,) for host in hosts))
    _require_unique("address", ((host.address,) for host in hosts))
    _require_unique("peer address", ((host.peer,) for host in hosts))
    _require_unique("address", ({host.address, host.peer} for host in hosts))
    return hosts


def _require_unique(what: str, values: Iterable[Iterable[str]]) -> None:
    seen: set[str] = set()
    for index, own in enumerate(values):
        twice = seen.intersection(own)
        if twice:
            raise Misplaced(f"{what} {', '.join(sorted(twice))} is used more than once", (index,))
        seen.update(own)


class EtcdCluster(Model):
    """One etcd cluster, as its owner wants it."""

    kind: Literal["etcd"]
    name: Name
    version: Version
    # A length of the type would be judged, too, when one of the hosts is wrong, and told as 0.
    hosts: Annotated[
        tuple[EtcdHost, ...],
        Field(strict=False, json_schema_extra={"minItems": 1, "maxItems": MAX_MEMBERS}),
        AfterValidator(_hosts),
    ]
    ssh: Ssh = Field(default_factory=Ssh)
    ports: Ports = Field(default_factory=Ports)
    tls: Tls = Field(default_factory=Tls)
    directories: Directories = Field(default_factory=Directories)
    etcd: EtcdSettings = Field(default_factory=EtcdSettings)
    systemd: SystemdTuning = Field(default_factory=SystemdTuning)
    backup: Backup = Field(default_factory=Backup)
    release: ReleaseSourceSpec = Field(default_factory=ReleaseSourceSpec)

    @model_validator(mode="after")
    def _consistent(self, info: ValidationInfo) -> EtcdCluster:
        for key, value in self.etcd.extra.items():
            try:
                lint_extra_keys(self.version, {key: value})
            except ValueError as error:
                raise Misplaced(str(error), ("etcd", "extra", key)) from None
        if not is_recorded(info):
            self._require_apart()
        return self

    def _require_apart(self) -> None:
        """Data, configuration and releases are changed and moved aside each by itself."""
        places = {"data": self.data_dir, "config": self.config_dir, "bin": self.directories.bin}
        own = {"wal": self.directories.wal} if self.directories.wal else {}
        taken = places | ({"wal": self.wal_dir} if own else {})
        for name, path in (places | own).items():
            for other, directory in taken.items():
                # The log may lie in the data directory, where etcd puts it by itself.
                if name != other and within(path, directory) and (name, other) != ("wal", "data"):
                    raise Misplaced(
                        f"{path} ({name}) lies in {directory} ({other}); give each its own",
                        ("directories", name),
                    )

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
        return EtcdCluster.model_validate(
            {**self.model_dump(), "version": version}, context=RECORDED
        )


def recorded_cluster(text: str) -> EtcdCluster:
    """The spec as the database holds it, perhaps recorded by an earlier version.

    Raises:
        ValidationError: It cannot be used any more.
    """
    return EtcdCluster.model_validate_json(text, context=RECORDED)
