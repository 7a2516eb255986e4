"""Specs and facts that nobody thought of: valid ones, nearly valid ones, and hosts in any state."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from quoracy.etcd.facts import EtcdHostFacts, MemberEntry
from quoracy.etcd.facts_alarms import Alarm
from quoracy.etcd.facts_cluster import EtcdFacts
from quoracy.etcd.facts_places import PlaceFacts
from quoracy.etcd.params import Action, DeployOption
from quoracy.etcd.plan.deploy import DeployRequest
from quoracy.etcd.spec import EtcdCluster
from quoracy.hosts.machine import HostSilent
from tests import etcd_factories as make

OTHER_ID = "1234567890abcdef"
VERSIONS = ("3.4.23", "3.5.16", "3.5.33", "3.6.14", "3.7.1", "3.5.1")
IDS = (make.CLUSTER_ID, make.CLUSTER_ID, make.CLUSTER_ID, OTHER_ID, None)


@functools.cache
def spec(hosts: int, version: str, heartbeat: int) -> EtcdCluster:
    return make.spec(hosts, version=version, etcd={"heartbeat_interval_ms": heartbeat})


# ------------------------------------------------------------------ hosts

BASES = (
    "running",
    "running",
    "running",
    "unhealthy",
    "stopped",
    "bootstrapping",
    "absent",
    "silent",
)


@functools.lru_cache(maxsize=4096)
def base(
    kind: str, hosts: int, version: str, heartbeat: int, index: int, leader: str | None
) -> EtcdHostFacts | HostSilent:
    """A host in a state that exists in the field."""
    cluster = spec(hosts, version, heartbeat)
    host = cluster.hosts[index]
    match kind:
        case "running":
            return make.running(cluster, host, leader)
        case "unhealthy":
            return make.running(cluster, host, None, healthy=False, members=None)
        case "stopped":
            return make.stopped(cluster, host)
        case "bootstrapping":
            return make.bootstrapping(cluster, host)
        case "absent":
            return make.absent()
        case _:
            return HostSilent("cut off", "look")


def _status(facts: EtcdHostFacts, **changes: Any) -> dict[str, Any]:
    return {"status": replace(facts.status, **changes)} if facts.status else {}


def _process(facts: EtcdHostFacts, **changes: Any) -> dict[str, Any]:
    return {"process": replace(facts.process, **changes)} if facts.process else {}


def _members(facts: EtcdHostFacts, how: str) -> dict[str, Any]:
    if not facts.members:
        return {}
    first, *rest = facts.members
    stranger = MemberEntry("abc", "stranger", ("https://203.0.113.9:2380",), learner=False)
    changed = {
        "learner": (replace(first, learner=True), *rest),
        "unstarted": (replace(first, name=""), *rest),
        "fewer": tuple(rest),
        "more": (first, *rest, stranger),
        "moved": (replace(first, peer_urls=("https://203.0.113.8:2380",)), *rest),
        "none": (),
    }
    return {"members": changed[how]}


def mutated(facts: EtcdHostFacts, what: str, value: Any) -> dict[str, Any]:
    """Fields that replace those of a host: one thing that is not as it should be."""
    match what:
        case "status":
            return _status(facts, **value)
        case "process":
            return _process(facts, **value)
        case "members":
            return _members(facts, value)
        case "machine":
            return {"host": replace(facts.host, **value)}
        case "unit":
            return {"unit": replace(facts.unit, **value)}
        case _ if what.endswith("_gone"):
            return {what.removesuffix("_gone"): None}
        case _:
            return {what: value}


def _one_of(what: str, *values: Any) -> st.SearchStrategy[tuple[str, Any]]:
    return st.tuples(st.just(what), st.sampled_from(values))


MUTATIONS = st.one_of(
    _one_of("has_log", True, False),
    _one_of("old_data", (), ("/var/lib/etcd/demo/member/snap",)),
    _one_of(
        "places",
        {},
        {"/": PlaceFacts("directory", "root")},
        {"/": PlaceFacts("directory", "app")},
        {"/": PlaceFacts("directory", "root"), "/opt/etcd": PlaceFacts("", "", ("x",))},
    ),
    _one_of("formed", True, False),
    _one_of("data_cluster_id", *IDS),
    _one_of("config_cluster_id", *IDS),
    _one_of("bootstrap", None, "", "initial-cluster: x\n", "\x00"),
    _one_of("unit_file", None, "", "[Unit]\nDescription=x\n"),
    _one_of("generation", None, "0123456789ab"),
    _one_of("version", None, *VERSIONS),
    _one_of("config", None, "", "not: [yaml", "name: x\n", "- a list\n"),
    _one_of("pre_start", None, "#!/bin/sh\n"),
    _one_of("staged", {}, {"0123456789ab": "0123456789ab"}),
    _one_of("releases", {}, {"3.4.23": "ab" * 32}),
    _one_of("certificates", {}, {"ca.pem": b""}, {"ca.pem": b"x", "peer.pem": b"\xff"}),
    _one_of("keys", frozenset(), frozenset({"peer.key"})),
    _one_of("healthy", True, False),
    _one_of("status_gone", None),
    _one_of("members", "learner", "unstarted", "fewer", "more", "moved", "none"),
    _one_of("process_gone", None),
    _one_of(
        "status",
        {"cluster_id": OTHER_ID},
        {"alarms": (Alarm("NOSPACE", "0"),)},
        {"alarms": (Alarm("CORRUPT", "0"),)},
        {"learner": True},
        {"leader_id": None},
        {"leader_id": "ffff"},
        {"member_id": "ffff"},
        {"version": "3.4.23"},
        {"version": "3.6.0-rc.1"},
        {"version": "3.7.1"},
        {"applied_index": 0, "revision": 0},
        {"applied_index": 2**63, "revision": 2**63},
    ),
    _one_of(
        "process",
        {"executable": ""},
        {"executable": "/opt/etcd/3.4.23/etcd (deleted)"},
        {"replaced": True},
        {"config": ""},
        {"config": "not: [yaml"},
        {"unit": ""},
        {"ca_sha256": "0" * 64},
    ),
    _one_of(
        "unit",
        {"active": "failed", "pid": 0},
        {"active": "activating", "pid": 0},
        {"active": "activating", "pid": 99},
        {"active": "deactivating", "pid": 99},
        {"active": "inactive", "pid": 0},
        {"active": "active", "pid": 99},
        {"active": "unknown", "pid": 0},
        {"loaded": False},
        {"enabled": False},
        {"restarts": 99},
    ),
    _one_of(
        "machine",
        {"architecture": "riscv64"},
        {"clock_s": make.NOW.timestamp() + 5},
        {"clock_s": 0.0},
        {"free_bytes": {"/var/lib/etcd/demo": 1}},
        {"free_bytes": {}},
        {"listening": frozenset({22, 2379})},
        {"listening": frozenset()},
    ),
)


def changed(facts: EtcdHostFacts, changes: list[tuple[str, Any]]) -> EtcdHostFacts:
    for what, value in changes:
        facts = replace(facts, **mutated(facts, what, value))
    return facts


# Most states of the field are one thing gone wrong; some are several.
CHANGES = st.one_of(
    st.just([]), st.just([]), st.just([]), st.lists(MUTATIONS, min_size=1, max_size=3)
)


@dataclass(frozen=True, slots=True)
class Situation:
    """A wanted cluster, hosts in some state, and what was asked for."""

    cluster: EtcdCluster
    facts: EtcdFacts
    asked: DeployRequest

    def __repr__(self) -> str:
        """All that matters, a line per host."""
        asked, wanted = self.asked, self.cluster
        lines = [
            f"{wanted.version} at {wanted.etcd.heartbeat_interval_ms} ms, pinned {asked.pinned_cluster_id}, "
            f"{asked.action} {asked.option or ''} downtime {asked.allow_downtime}"
        ]
        return "\n  ".join([*lines, *(_shown(*item) for item in self.facts.hosts.items())])

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What hypothesis prints; by itself it would show every certificate."""
        printer.text(repr(self))


def _shown(name: str, one: EtcdHostFacts | HostSilent) -> str:
    if isinstance(one, HostSilent):
        return f"{name}: silent"
    status = one.status and (one.status.version, one.status.leader_id, one.status.alarms)
    members = one.members and [(m.name, m.learner) for m in one.members]
    return (
        f"{name}: log {one.has_log} {one.old_data}, data {one.data_cluster_id}, config {one.config_cluster_id}, "
        f"bootstrap {one.bootstrap is not None}, formed {one.formed}, {one.unit.active} {one.unit.pid}, "
        f"disk {one.generation} {one.version}, healthy {one.healthy}, {status}, members {members}"
    )


# What runs, and what is wanted: ways that etcd allows.
WAYS = (
    ("3.4.23", "3.5.16"),
    ("3.5.16", "3.5.33"),
    ("3.5.33", "3.6.14"),
    ("3.6.14", "3.7.1"),
    ("3.5.33", "3.5.33"),
    ("3.5.33", "3.5.33"),
)


@st.composite
def calm(draw: st.DrawFn) -> Situation:
    """A cluster as it usually is: all hosts alike, old or new, and something wrong with one or two."""
    old, new = draw(st.sampled_from(WAYS))
    count = draw(st.sampled_from((1, 2, 3, 3, 3, 4, 5, 5, 7)))
    wanted = spec(count, new, draw(st.sampled_from((100, 110))))
    leader = draw(st.sampled_from([host.name for host in wanted.hosts]))
    usual = draw(
        st.sampled_from(("running", "running", "running", "stopped", "bootstrapping", "absent"))
    )
    bad = draw(st.lists(st.integers(0, count - 1), max_size=2))
    hosts: dict[str, EtcdHostFacts | HostSilent] = {}
    for index, host in enumerate(wanted.hosts):
        kind = draw(st.sampled_from(BASES)) if index in bad else usual
        made = draw(
            st.sampled_from(((old, 100), (new, 100), (new, wanted.etcd.heartbeat_interval_ms)))
        )
        found = base(kind, count, *made, index, leader)
        if index in bad and isinstance(found, EtcdHostFacts):
            found = changed(found, draw(CHANGES))
        hosts[host.name] = found
    known = draw(st.sampled_from((make.CLUSTER_ID, make.CLUSTER_ID, None)))
    asked = make.request(
        pinned_cluster_id=None if usual in ("bootstrapping", "absent") else known,
        allow_downtime=draw(st.booleans()),
    )
    return Situation(wanted, make.facts_of(hosts), asked)


@st.composite
def wild(draw: st.DrawFn) -> Situation:
    """Anything: every host in a state of its own, several things wrong with each."""
    count = draw(st.sampled_from((1, 2, 3, 3, 3, 4, 5, 5, 7)))
    wanted = spec(count, draw(st.sampled_from(VERSIONS)), draw(st.sampled_from((100, 110))))
    before = draw(st.sampled_from((wanted.version, *VERSIONS))), draw(st.sampled_from((100, 110)))
    leader = draw(st.sampled_from((None, *(host.name for host in wanted.hosts))))
    usual = draw(st.sampled_from(BASES))
    hosts: dict[str, EtcdHostFacts | HostSilent] = {}
    for index, host in enumerate(wanted.hosts):
        kind = draw(st.sampled_from((usual, usual, usual, *BASES)))
        made = draw(st.sampled_from((before, before, (wanted.version, 100))))
        found = base(kind, count, *made, index, leader)
        if isinstance(found, EtcdHostFacts):
            found = changed(found, draw(CHANGES))
        hosts[host.name] = found
    asked = make.request(
        pinned_cluster_id=draw(st.sampled_from((*IDS, None))),
        action=draw(st.sampled_from((Action.DEPLOY, *Action))),
        option=draw(st.sampled_from((None, None, *DeployOption))),
        allow_downtime=draw(st.booleans()),
        allow_bad_version=draw(st.booleans()),
    )
    return Situation(wanted, make.facts_of(hosts), asked)


def situations() -> st.SearchStrategy[Situation]:
    """Two of three are calm: a plan that is refused at once breaks no law."""
    return st.one_of(calm(), calm(), wild())


# ------------------------------------------------------------------ specs

GOOD = """\
kind: etcd
name: demo
version: 3.5.33
hosts:
  - {name: demo-1, address: 198.51.100.2}
  - name: demo-2
    address: 198.51.100.3
    ssh: {user: admin, port: 2222}
ports: {client: 2379, peer: 2380}
etcd: {auto_compaction_mode: periodic, auto_compaction_retention: 8h, extra: {max-wals: 5}}
systemd: {nice: -5, memory_max: 8G}
backup: {s3: {bucket: abc, access_key: 'env:A', secret_key: 'file:/b'}}
"""
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(("3.5.16", "demo-1", "198.51.100.2", "/srv/etcd", "env:X", "::1", "8G")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


def paths(node: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all parts of a document."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(node, dict):
        inner = list(node.items())
    elif isinstance(node, list):
        inner = list(enumerate(node))
    return [path for key, part in inner for path in ((*at, key), *paths(part, (*at, key)))]


def put(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The document with one part replaced."""
    if not path:
        return value
    if not isinstance(node, list | dict):
        return node  # what was there was replaced before
    if isinstance(node, list):
        return [put(part, path[1:], value) if i == path[0] else part for i, part in enumerate(node)]
    return {
        key: put(part, path[1:], value) if key == path[0] else part for key, part in node.items()
    }


def cut(text: str, start: int, length: int, inserted: str) -> str:
    """The text with a piece replaced, as by a slip of the hand."""
    start %= len(text)
    return text[:start] + inserted + text[start + length :]


TYPOS = st.builds(
    cut,
    st.just(GOOD),
    st.integers(0, len(GOOD)),
    st.integers(0, 12),
    st.text(max_size=6)
    | st.sampled_from(("\n", "  ", "- ", ": ", "{", "]", "&a ", "*a", "!x ", "'")),
)
