"""Specs and facts of etcd clusters in any state, for tests that need no host."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from quoracy.etcd.checks_certificates import WantedCertificates
from quoracy.etcd.facts import EtcdHostFacts, MemberEntry, ProcessFacts, StatusFacts, UnitFacts
from quoracy.etcd.facts_cluster import EtcdFacts
from quoracy.etcd.facts_neighbours import Neighbours
from quoracy.etcd.facts_places import PlaceFacts
from quoracy.etcd.plan.deploy import DeployRequest
from quoracy.etcd.scripts import CERTIFICATE_ROLES, subject_names
from quoracy.etcd.scripts_staged import staged_content
from quoracy.etcd.spec import EtcdCluster, EtcdHost
from quoracy.etcd.templates import bootstrap_config, client_url, peer_url, render_generation
from quoracy.hosts.machine import HostFacts, HostSilent
from quoracy.pki.authority import Authority

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
CLUSTER_ID = "cdf818194e3a8c32"
OLD, NEW = "3.4.23", "3.5.16"
TOKEN = "demo-0123456789abcdef"


def spec(hosts: int = 3, **changes: Any) -> EtcdCluster:
    """A valid cluster named demo; `changes` replace top-level keys."""
    return EtcdCluster.model_validate(
        {
            "kind": "etcd",
            "name": "demo",
            "version": NEW,
            "hosts": [
                {"name": f"demo-{n}", "address": f"198.51.100.{n + 1}"} for n in range(1, hosts + 1)
            ],
            "release": {"directory": "/archives"},
            "backup": {"directory": "/backups"},
            **changes,
        }
    )


@functools.cache
def authority() -> Authority:
    """The CA of all clusters of the tests; making keys takes time."""
    return Authority.create("etcd demo", NOW - timedelta(days=1))


@functools.cache
def _leaf(
    role: Literal["peer", "server", "client"],
    names: tuple[str, ...],
    days: int,
    made_days_ago: int = 0,
) -> bytes:
    made = NOW - timedelta(days=made_days_ago)
    return authority().issue(role, "demo", names, made, timedelta(days=days)).cert_pem


def certificates(
    host: EtcdHost, *, days: int = 365, made_days_ago: int = 0, sans: tuple[str, ...] | None = None
) -> dict[str, bytes]:
    """What lies in a host's tls directory; `days` is the validity from the day they were made."""
    names = subject_names(host) if sans is None else sans
    return {
        "ca.pem": authority().cert_pem,
        **{
            f"{role}.pem": _leaf(role, () if role == "client" else names, days, made_days_ago)
            for role in CERTIFICATE_ROLES
        },
    }


def wanted_certificates() -> WantedCertificates:
    return WantedCertificates(ca=authority().cert_pem, given={})


def request(**changes: Any) -> DeployRequest:
    """A plain deploy of a cluster that was created here."""
    values: dict[str, Any] = {
        "pinned_cluster_id": CLUSTER_ID,
        "token": TOKEN,
        "certificates": wanted_certificates(),
    }
    return DeployRequest(**{**values, **changes})


def machine(**changes: Any) -> HostFacts:
    values: dict[str, Any] = {
        "os_name": "Debian GNU/Linux 12 (bookworm)",
        "architecture": "x86_64",
        "clock_s": NOW.timestamp(),
        "uptime_s": 5000.0,
        "boot_id": "11111111-2222-3333-4444-555555555555",
        "free_bytes": {"/var/lib/etcd/demo": 8 * 1024**3, "/opt/etcd": 8 * 1024**3},
        "listening": frozenset({22}),
        "guard": None,
    }
    return HostFacts(**{**values, **changes})


def stopped_unit(active: str = "inactive", *, loaded: bool = True) -> UnitFacts:
    return UnitFacts(loaded, active, 0, 0.0, 0, enabled=loaded)


def running_unit() -> UnitFacts:
    return UnitFacts(True, "active", 4711, 1000.0, 0, enabled=True)


def member_id(name: str) -> str:
    """A hexadecimal ID that follows from the name."""
    return f"8e9e05c52164{int(name.rpartition('-')[2]):04x}"


def entries(cluster: EtcdCluster) -> tuple[MemberEntry, ...]:
    """The member list that fits the spec."""
    return tuple(
        MemberEntry(member_id(h.name), h.name, (peer_url(cluster, h),), learner=False)
        for h in cluster.hosts
    )


def absent(**changes: Any) -> EtcdHostFacts:
    """A host that carries nothing of the cluster."""
    values: dict[str, Any] = {
        "host": machine(),
        "has_log": False,
        "old_data": (),
        "places": {"/": PlaceFacts("directory", "root")},
        "data_cluster_id": None,
        "config_cluster_id": None,
        "bootstrap": None,
        "formed": False,
        "unit_file": None,
        "generation": None,
        "version": None,
        "config": None,
        "pre_start": None,
        "staged": {},
        "releases": {},
        "certificates": {},
        "keys": frozenset(),
        "unit": stopped_unit(loaded=False),
        "process": None,
        "status": None,
        "healthy": False,
        "members": None,
        "neighbours": Neighbours(),
    }
    return EtcdHostFacts(**{**values, **changes})


def stopped(cluster: EtcdCluster, host: EtcdHost, /, **changes: Any) -> EtcdHostFacts:
    """A member that is set up as the spec says and does not run."""
    generation = render_generation(cluster, host)
    values: dict[str, Any] = {
        "has_log": True,
        "data_cluster_id": CLUSTER_ID,
        "config_cluster_id": CLUSTER_ID,
        "unit_file": generation.unit,
        "generation": generation.identity,
        "version": cluster.version,
        "config": generation.config,
        "pre_start": generation.pre_start,
        "staged": staged(cluster, host),
        "releases": {cluster.version: "ab" * 32},
        "certificates": certificates(host),
        "keys": frozenset(f"{role}.key" for role in CERTIFICATE_ROLES),
        "unit": stopped_unit(),
    }
    return absent(**{**values, **changes})


def staged(cluster: EtcdCluster, host: EtcdHost, **edited: str) -> dict[str, str]:
    """The wanted generation as it lies on a host, under its name, with files that were edited there."""
    wanted = render_generation(cluster, host)
    _, content = staged_content(cluster, replace(wanted, **edited)).split("\n", 1)
    return {wanted.identity: f"{wanted.identity}\n{content}"}


def process(cluster: EtcdCluster, host: EtcdHost) -> ProcessFacts:
    """A process that was started with what the spec says."""
    generation = render_generation(cluster, host)
    return ProcessFacts(
        executable=f"{cluster.release_dir(cluster.version)}/etcd",
        replaced=False,
        config=generation.config + 'initial-cluster-state: "existing"\n',
        unit=generation.unit,
        ca_sha256=hashlib.sha256(authority().cert_pem).hexdigest(),
    )


def status(cluster: EtcdCluster, host: EtcdHost, leader: str | None) -> StatusFacts:
    return StatusFacts(
        endpoint=client_url(cluster, host),
        cluster_id=CLUSTER_ID,
        member_id=member_id(host.name),
        leader_id=member_id(leader) if leader else None,
        version=cluster.version,
        revision=100,
        raft_index=200,
        applied_index=200,
        db_bytes=20480,
        learner=False,
        alarms=(),
    )


def running(
    cluster: EtcdCluster,
    host: EtcdHost,
    leader: str | None = "demo-1",
    /,
    *,
    healthy: bool = True,
    **changes: Any,
) -> EtcdHostFacts:
    """A member that runs as the spec says."""
    values: dict[str, Any] = {
        "unit": running_unit(),
        "process": process(cluster, host),
        "status": status(cluster, host, leader),
        "healthy": healthy,
        "members": entries(cluster),
        "host": machine(listening=frozenset({22, cluster.ports.client, cluster.ports.peer})),
    }
    return stopped(cluster, host, **{**values, **changes})


def bootstrapping(cluster: EtcdCluster, host: EtcdHost, /, **changes: Any) -> EtcdHostFacts:
    """A host in the middle of a create: everything is on disk, nothing has been started."""
    values: dict[str, Any] = {
        "has_log": False,
        "data_cluster_id": None,
        "config_cluster_id": None,
        "bootstrap": bootstrap_config(cluster, TOKEN),
    }
    return stopped(cluster, host, **{**values, **changes})


def facts_of(hosts: Mapping[str, EtcdHostFacts | HostSilent]) -> EtcdFacts:
    return EtcdFacts(hosts=dict(hosts), asked_at=NOW)


def healthy_facts(cluster: EtcdCluster, leader: str = "demo-1", **changes: Any) -> EtcdFacts:
    """All members run as the spec says; `changes` apply to each host's facts."""
    return facts_of({h.name: running(cluster, h, leader, **changes) for h in cluster.hosts})


def absent_facts(cluster: EtcdCluster) -> EtcdFacts:
    return facts_of({h.name: absent() for h in cluster.hosts})


def with_host(facts: EtcdFacts, name: str, host: EtcdHostFacts | HostSilent) -> EtcdFacts:
    """The same facts with another answer of one host."""
    return facts_of({**facts.hosts, name: host})


def changed(facts: EtcdFacts, name: str, **changes: Any) -> EtcdFacts:
    """The same facts with some facts of one host replaced."""
    return with_host(facts, name, replace(facts.heard[name], **changes))


def reasons(verdicts: Iterable[Any]) -> list[str]:
    """The reasons of the verdicts that stop."""
    return [verdict.reason for verdict in verdicts if verdict.stops]


@dataclass(frozen=True, slots=True)
class Told:
    """Reasons of a plan's verdicts, by how grave they are."""

    stops: list[str]
    warns: list[str]


def told(plan: Any) -> Told:
    return Told(
        stops=sorted({v.reason for v in plan.verdicts if v.stops}),
        warns=sorted({v.reason for v in plan.verdicts if v.status == "warn"}),
    )
