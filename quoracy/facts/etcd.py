"""What a host says about its member: files, unit, process, and what etcd itself answers.

Etcd's answers have traps (reference: etcd's own JSON, 3.4 to 3.5): zero values are left out, so a
missing `leader` means that there is none; a dead endpoint is absent from the list; without quorum
the exit code of `endpoint status` is still 0. So nothing is decided by exit codes here.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quoracy.commands.etcd import (
    CERTIFICATE_ROLES,
    RELEASE_MARKER,
    as_etcd,
    marker_path,
    record_dir,
    runtime_dir,
)
from quoracy.commands.etcdctl import endpoint_health, endpoint_status, member_list
from quoracy.commands.guard import state_dir
from quoracy.facts.etcd_neighbours import Neighbours, neighbours_question, parse_neighbours
from quoracy.facts.etcd_places import PlaceFacts, old_data, parse_places, places_question
from quoracy.facts.host import (
    HostFacts,
    files_question,
    host_questions,
    parse_files,
    parse_host,
)
from quoracy.facts.question import Answer
from quoracy.spec.etcd import EtcdCluster


@dataclass(frozen=True, slots=True)
class UnitFacts:
    """What systemd says about the member's unit.

    Attributes:
        active: ActiveState, for example "active", "inactive", "failed", "activating".
        pid: Main process; 0 when none runs.
        started_s: Seconds after boot at which the main process started; 0 when none runs.
        restarts: How often systemd has restarted it by itself since the last start.
    """

    loaded: bool
    active: str
    pid: int
    started_s: float
    restarts: int
    enabled: bool

    @property
    def running(self) -> bool:
        """Whether a process of the unit is there and systemd calls it active."""
        return self.active == "active" and self.pid > 0


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """What the running process started with, as recorded by pre-start and /proc.

    Attributes:
        executable: Path of the running file; " (deleted)" when it is gone.
        replaced: Whether the file at the link is not the one that runs.
        config: The configuration it read, bootstrap keys included.
        unit: The unit file as it was at the start.
        ca_sha256: Digest of the trusted CA file at the start, which etcd reads only once.
    """

    executable: str
    replaced: bool
    config: str
    unit: str
    ca_sha256: str


@dataclass(frozen=True, slots=True)
class StatusFacts:
    """What the member says about itself (`endpoint status`); IDs are hexadecimal as etcdctl takes them."""

    endpoint: str
    cluster_id: str
    member_id: str
    leader_id: str | None
    version: str
    revision: int
    raft_index: int
    applied_index: int
    db_bytes: int
    learner: bool
    alarms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MemberEntry:
    """One line of `member list`; a member that never started has no name."""

    member_id: str
    name: str
    peer_urls: tuple[str, ...]
    learner: bool


@dataclass(frozen=True, slots=True)
class EtcdHostFacts:
    """Everything one host says about one cluster.

    Attributes:
        has_log: Whether the write-ahead log holds a segment.
        old_data: What lies where etcd would find data at its first start, before one of ours.
        places: Before the first start: what lies where a create would go, by path.
        data_cluster_id: Cluster ID that marks the data; None before the bootstrap is finished.
        config_cluster_id: Cluster ID that marks the configuration directory.
        bootstrap: The keys of the first start; None once it is finished.
        formed: Whether the member has served in a create that is not finished yet.
        unit_file: The unit on disk; None when there is none.
        generation: Name of the generation that `current` follows.
        version: Version of the release that `current` follows, which a stopped member would start;
            None when it does not follow a release.
        config: The configuration on disk at `current`.
        pre_start: The pre-start check on disk at `current`.
        staged: Names of the complete generations on disk.
        releases: Digest of the archive by installed version.
        certificates: PEM by file name ("ca.pem", "peer.pem", "server.pem", "client.pem").
        keys: Names of the key files that are there.
        status: None when the member did not answer.
        healthy: Whether a linearizable read through the member succeeded.
        members: None when the member did not answer.
        neighbours: What else of etcd is on the host; only looked for before the bootstrap is finished.
    """

    host: HostFacts
    has_log: bool
    old_data: tuple[str, ...]
    places: Mapping[str, PlaceFacts]
    data_cluster_id: str | None
    config_cluster_id: str | None
    bootstrap: str | None
    formed: bool
    unit_file: str | None
    generation: str | None
    version: str | None
    config: str | None
    pre_start: str | None
    staged: frozenset[str]
    releases: Mapping[str, str]
    certificates: Mapping[str, bytes]
    keys: frozenset[str]
    unit: UnitFacts
    process: ProcessFacts | None
    status: StatusFacts | None
    healthy: bool
    members: tuple[MemberEntry, ...] | None
    neighbours: Neighbours


@dataclass(frozen=True, slots=True)
class MemberPoll:
    """A quick look at one member while it is waited for."""

    unit: UnitFacts
    uptime_s: float
    healthy: bool


def etcd_questions(cluster: EtcdCluster) -> dict[str, str]:
    """All questions to one host, for one round trip."""
    config = cluster.config_dir
    paths = (cluster.data_dir, cluster.wal_dir, cluster.directories.bin, state_dir(cluster.name))
    return {
        **host_questions(cluster.name, paths),
        **_etcdctl_questions(cluster),
        "unit": _unit_question(cluster),
        "process": (
            f"p=$(systemctl show --value -p MainPID {cluster.unit}); [ $p -gt 0 ] && "
            f"echo exe=$(readlink /proc/$p/exe) && "
            f"stat -L -c %d:%i /proc/$p/exe {config}/current/release/etcd | "
            "{ read -r running; echo running=$running; read -r linked; echo linked=$linked; }"
        ),
        "neighbours": neighbours_question(cluster),
        # One question, as each costs a process: the log's segments, and what lies where it would go.
        "log": f"{_there(f'{cluster.wal_dir}/*.wal')}\n{places_question(cluster)}",
        "staged": _there(f"{config}/generations/*/release"),
        "keys": _there(f"{config}/tls/*.key"),
        "releases": (
            f"for f in {cluster.directories.bin}/*/{RELEASE_MARKER}; do "
            "read -r digest < $f && echo $f:$digest; done"
        ),
        "files": files_question(
            (
                f"{config}/current",
                f"{config}/current/release",
                f"{config}/current/etcd.yaml",
                f"{config}/current/pre-start",
                f"{config}/bootstrap.yaml",
                f"{config}/formed",
                f"{config}/cluster-id",
                f"{config}/tls/*.pem",
                f"/etc/systemd/system/{cluster.unit}",
                *(f"{record_dir(cluster)}/{name}" for name in (*_RECORDED, "invocation")),
            ),
            as_etcd(
                "tar",
                "-cf",
                "-",
                marker_path(cluster),
                *(f"{runtime_dir(cluster)}/{name}" for name in _RECORDED),
            ),
        ),
    }


def parse_etcd_host(cluster: EtcdCluster, answers: Mapping[str, Answer]) -> EtcdHostFacts:
    """The answers to `etcd_questions`."""
    files, links = parse_files(answers["files"])
    config = cluster.config_dir

    def text(path: str) -> str | None:
        return files[path].decode("utf-8", "replace") if path in files else None

    def identity(path: str) -> str | None:
        return (text(path) or "").strip() or None

    def followed(path: str) -> str | None:
        return links[path].rsplit("/", 1)[-1] if path in links else None

    unit = parse_unit(answers["unit"])
    bootstrap = text(f"{config}/bootstrap.yaml")
    recorded = record_dir(cluster)
    invocation = answers["unit"].pairs.get("InvocationID")
    if not invocation or identity(f"{recorded}/invocation") != invocation:
        # Started by the pre-start of an earlier version, which left its record with etcd.
        recorded = runtime_dir(cluster)
    found = parse_places(answers["log"].lines)
    return EtcdHostFacts(
        host=parse_host(answers),
        has_log=any(line.startswith("/") for line in answers["log"].lines),
        old_data=old_data(cluster, found),
        places=found,
        data_cluster_id=identity(marker_path(cluster)),
        config_cluster_id=identity(f"{config}/cluster-id"),
        bootstrap=bootstrap,
        formed=f"{config}/formed" in files,
        unit_file=text(f"/etc/systemd/system/{cluster.unit}"),
        generation=followed(f"{config}/current"),
        version=_release_version(followed(f"{config}/current/release")),
        config=text(f"{config}/current/etcd.yaml"),
        pre_start=text(f"{config}/current/pre-start"),
        staged=frozenset(line.split("/")[-2] for line in answers["staged"].lines),
        releases=_releases(answers["releases"]),
        certificates={
            name: files[f"{config}/tls/{name}"]
            for name in ("ca.pem", *(f"{role}.pem" for role in CERTIFICATE_ROLES))
            if f"{config}/tls/{name}" in files
        },
        keys=frozenset(line.rsplit("/", 1)[-1] for line in answers["keys"].lines),
        unit=unit,
        process=_process(answers["process"], {k: text(f"{recorded}/{k}") or "" for k in _RECORDED})
        if unit.pid
        else None,
        status=next(iter(parse_statuses(answers["status"])), None),
        healthy=parse_health(answers["health"]),
        members=parse_members(answers["members"]),
        neighbours=parse_neighbours(cluster, answers["neighbours"], begun=bootstrap is not None),
    )


def poll_questions(cluster: EtcdCluster) -> dict[str, str]:
    """The few questions that are asked while waiting for a member."""
    return {
        "unit": _unit_question(cluster),
        "uptime": "cat /proc/uptime",
        "health": shlex.join(endpoint_health(cluster)),
    }


def parse_poll(answers: Mapping[str, Answer]) -> MemberPoll:
    """The answers to `poll_questions`."""
    return MemberPoll(
        unit=parse_unit(answers["unit"]),
        uptime_s=float(answers["uptime"].text.split()[0]),
        healthy=parse_health(answers["health"]),
    )


def parse_unit(answer: Answer) -> UnitFacts:
    """`systemctl show` of the unit."""
    shown = answer.pairs
    return UnitFacts(
        loaded=shown.get("LoadState") == "loaded",
        active=shown.get("ActiveState", "unknown"),
        pid=int(shown.get("MainPID", "0")),
        started_s=int(shown.get("ExecMainStartTimestampMonotonic", "0")) / 1e6,
        restarts=int(shown.get("NRestarts", "0")),
        enabled=shown.get("UnitFileState") == "enabled",
    )


def parse_statuses(answer: Answer) -> tuple[StatusFacts, ...]:
    """`endpoint status -w json`: one entry per endpoint that answered."""
    return tuple(_status(entry) for entry in _json(answer) or [])


def parse_health(answer: Answer) -> bool:
    """`endpoint health -w json` of one endpoint."""
    entries = _json(answer) or []
    return len(entries) == 1 and entries[0].get("health") is True


def parse_members(answer: Answer) -> tuple[MemberEntry, ...] | None:
    """`member list -w json`; None when there was no answer."""
    told = _json(answer)
    if told is None:
        return None
    return tuple(
        MemberEntry(
            member_id=f"{member['ID']:x}",
            name=member.get("name", ""),
            peer_urls=tuple(member.get("peerURLs", ())),
            learner=bool(member.get("isLearner", False)),
        )
        for member in told["members"]
    )


_RECORDED = ("etcd.yaml", "unit", "ca.sha256")


def _etcdctl_questions(cluster: EtcdCluster) -> dict[str, str]:
    """What the member itself says; where nothing listens, etcdctl would wait in vain for 5 s."""
    socket = f"':{cluster.ports.client:04X} [0-9A-F]*:0000 0A '"  # 0A is LISTEN (proc(5))
    listens = f"grep -q {socket} /proc/net/tcp /proc/net/tcp6"
    return {
        "status": f"{listens} && {shlex.join(endpoint_status(cluster))}",
        "health": f"{listens} && {shlex.join(endpoint_health(cluster))}",
        "members": f"{listens} && {shlex.join(member_list(cluster))}",
    }


def _there(pattern: str) -> str:
    """Question for the paths that a pattern matches; a dangling link counts."""
    return f"for f in {pattern}; do if [ -e $f ] || [ -L $f ]; then echo $f; fi; done"


def _unit_question(cluster: EtcdCluster) -> str:
    properties = (
        "LoadState,ActiveState,MainPID,NRestarts,ExecMainStartTimestampMonotonic,UnitFileState,"
        "InvocationID"
    )
    return f"systemctl show -p {properties} {cluster.unit}"


def _process(answer: Answer, recorded: Mapping[str, str]) -> ProcessFacts:
    told = answer.pairs
    return ProcessFacts(
        executable=told.get("exe", ""),
        replaced=told.get("running", "") != told.get("linked", ""),
        config=recorded["etcd.yaml"],
        unit=recorded["unit"],
        ca_sha256=recorded["ca.sha256"].strip(),
    )


def _release_version(directory: str | None) -> str | None:
    return directory if re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", directory or "") else None


def _releases(answer: Answer) -> dict[str, str]:
    """`/opt/etcd/3.5.16/.quoracy-sha256:<digest>` lines."""
    releases = {}
    for line in answer.lines:
        path, _, digest = line.rpartition(":")
        releases[path.split("/")[-2]] = digest
    return releases


def _status(entry: Mapping[str, Any]) -> StatusFacts:
    status = entry["Status"]
    header = status["header"]
    leader = status.get("leader", 0)
    return StatusFacts(
        endpoint=entry["Endpoint"],
        cluster_id=f"{header['cluster_id']:x}",
        member_id=f"{header['member_id']:x}",
        leader_id=f"{leader:x}" if leader else None,
        version=status.get("version", ""),
        revision=header.get("revision", 0),
        raft_index=status.get("raftIndex", 0),
        applied_index=status.get("raftAppliedIndex", 0),
        db_bytes=status.get("dbSize", 0),
        learner=bool(status.get("isLearner", False)),
        alarms=tuple(re.findall(r"alarm:(\w+)", " ".join(status.get("errors", ())))),
    )


def _json(answer: Answer) -> Any:
    """The answer as JSON; None when the program printed none (it could not connect)."""
    try:
        return json.loads(answer.text)
    except json.JSONDecodeError:
        return None
