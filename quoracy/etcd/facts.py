"""What a host says about its member: files, unit, process, and what etcd itself answers.

Etcd's answers have traps (reference: etcd's own JSON, 3.4 to 3.5): zero values are left out, so a
missing `leader` means that there is none; a dead endpoint is absent from the list; without quorum
the exit code of `endpoint status` is still 0. So nothing is decided by exit codes here.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from quoracy.etcd import facts_answers as told
from quoracy.etcd import facts_lines as etcd_lines
from quoracy.etcd.facts_alarms import Alarm, parse_alarms
from quoracy.etcd.facts_neighbours import Neighbours, neighbours_question, parse_neighbours
from quoracy.etcd.facts_places import PlaceFacts, old_data, parse_places, places_question
from quoracy.etcd.facts_read import parse_read, read_question
from quoracy.etcd.facts_staged import parse_staged, staged_links, staged_question
from quoracy.etcd.scripts import (
    CERTIFICATE_ROLES,
    RELEASE_MARKER,
    as_etcd,
    marker_path,
    record_dir,
    runtime_dir,
)
from quoracy.etcd.scripts_etcdctl import endpoint_status, member_list
from quoracy.etcd.spec import EtcdCluster
from quoracy.hosts import bounded
from quoracy.hosts.machine import (
    HostFacts,
    files_question,
    host_questions,
    parse_files,
    parse_host,
)
from quoracy.hosts.question import Answer
from quoracy.operation.guard import state_dir


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
    alarms: tuple[Alarm, ...]


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
        staged: What the complete generations on disk hold, by name: see `staged_content`.
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
    staged: Mapping[str, str]
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
        "staged": staged_question(config),
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
                staged_links(config),
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
    files, links = bounded.parsed(answers, "files", parse_files)
    config = cluster.config_dir

    def text(path: str) -> str | None:
        return files[path].decode("utf-8", "replace") if path in files else None

    def identity(path: str) -> str | None:
        return bounded.word((text(path) or "").strip(), path) or None

    def followed(path: str) -> str | None:
        return bounded.word(links[path].rsplit("/", 1)[-1], path) if path in links else None

    unit = bounded.parsed(answers, "unit", parse_unit)
    bootstrap = text(f"{config}/bootstrap.yaml")
    recorded = record_dir(cluster)
    invocation = answers["unit"].pairs.get("InvocationID")
    if not invocation or identity(f"{recorded}/invocation") != invocation:
        # Started by the pre-start of an earlier version, which left its record with etcd.
        recorded = runtime_dir(cluster)
    found = bounded.parsed(answers, "log", lambda answer: parse_places(answer.lines))
    record = {name: text(f"{recorded}/{name}") or "" for name in _RECORDED}
    process = bounded.parsed(answers, "process", lambda answer: _process(answer, record))
    statuses = bounded.parsed(answers, "status", parse_statuses)
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
        staged=bounded.parsed(
            answers, "staged", lambda answer: parse_staged(answer, links, config)
        ),
        releases=bounded.parsed(answers, "releases", etcd_lines.releases),
        certificates={
            name: files[f"{config}/tls/{name}"]
            for name in ("ca.pem", *(f"{role}.pem" for role in CERTIFICATE_ROLES))
            if f"{config}/tls/{name}" in files
        },
        keys=bounded.parsed(answers, "keys", etcd_lines.keys),
        unit=unit,
        process=process if unit.pid else None,
        status=next(iter(statuses), None),
        healthy=bounded.parsed(answers, "health", parse_read).served,
        members=bounded.parsed(answers, "members", parse_members),
        neighbours=bounded.parsed(
            answers,
            "neighbours",
            lambda answer: parse_neighbours(cluster, answer, begun=bootstrap is not None),
        ),
    )


def poll_questions(cluster: EtcdCluster) -> dict[str, str]:
    """The few questions that are asked while waiting for a member."""
    return {
        "unit": _unit_question(cluster),
        "uptime": "cat /proc/uptime",
        "health": read_question(cluster),
    }


def parse_poll(answers: Mapping[str, Answer]) -> MemberPoll:
    """The answers to `poll_questions`."""
    return MemberPoll(
        unit=bounded.parsed(answers, "unit", parse_unit),
        uptime_s=bounded.parsed(answers, "uptime", etcd_lines.uptime),
        healthy=bounded.parsed(answers, "health", parse_read).served,
    )


def parse_unit(answer: Answer) -> UnitFacts:
    """`systemctl show` of the unit."""
    shown = answer.pairs
    return UnitFacts(
        loaded=shown.get("LoadState") == "loaded",
        active=bounded.word(shown.get("ActiveState", "unknown"), "ActiveState"),
        pid=bounded.shown_number(shown, "MainPID"),
        started_s=bounded.shown_number(shown, "ExecMainStartTimestampMonotonic") / 1e6,
        restarts=bounded.shown_number(shown, "NRestarts"),
        enabled=shown.get("UnitFileState") == "enabled",
    )


def parse_statuses(answer: Answer) -> tuple[StatusFacts, ...]:
    """`endpoint status -w json`: one entry per endpoint that answered."""
    return tuple(map(_status, told.from_json(told.STATUSES, answer.text) or ()))


def parse_members(answer: Answer) -> tuple[MemberEntry, ...] | None:
    """`member list -w json`; None when there was no answer."""
    found = told.from_json(told.MEMBER_LIST, answer.text)
    if found is None:
        return None
    return tuple(
        MemberEntry(
            member_id=f"{member.identity:x}",
            name=member.name,
            peer_urls=tuple(member.peer_urls),
            learner=member.learner,
        )
        for member in found.members
    )


_RECORDED = ("etcd.yaml", "unit", "ca.sha256")


def _etcdctl_questions(cluster: EtcdCluster) -> dict[str, str]:
    """What the member itself says; where nothing listens, etcdctl would wait in vain for 5 s."""
    socket = f"':{cluster.ports.client:04X} [0-9A-F]*:0000 0A '"  # 0A is LISTEN (proc(5))
    listens = f"grep -q {socket} /proc/net/tcp /proc/net/tcp6"
    return {
        "status": f"{listens} && {shlex.join(endpoint_status(cluster))}",
        "health": f"{listens} && {{ {read_question(cluster)}; }}",
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
    shown = answer.pairs
    return ProcessFacts(
        executable=bounded.line(shown.get("exe", ""), "its executable"),
        replaced=shown.get("running", "") != shown.get("linked", ""),
        config=recorded["etcd.yaml"],
        unit=recorded["unit"],
        ca_sha256=bounded.word(recorded["ca.sha256"].strip(), "its ca.sha256"),
    )


def _release_version(directory: str | None) -> str | None:
    return directory if re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", directory or "") else None


def _status(entry: told.EndpointStatus) -> StatusFacts:
    status, header = entry.status, entry.status.header
    return StatusFacts(
        endpoint=entry.endpoint,
        cluster_id=f"{header.cluster_id:x}",
        member_id=f"{header.member_id:x}",
        leader_id=f"{status.leader:x}" if status.leader else None,
        version=status.version,
        revision=header.revision,
        raft_index=status.raft_index,
        applied_index=status.applied_index,
        db_bytes=status.db_bytes,
        learner=status.learner,
        alarms=parse_alarms(status.errors),
    )
