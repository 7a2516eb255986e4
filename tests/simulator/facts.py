"""What gathering would find in a simulated world."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from quoracy.etcd.facts import EtcdHostFacts, MemberEntry, ProcessFacts, StatusFacts, UnitFacts
from quoracy.etcd.facts_alarms import Alarm
from quoracy.etcd.facts_cluster import EtcdFacts
from quoracy.etcd.facts_places import PlaceFacts
from quoracy.etcd.scripts_staged import staged_content
from quoracy.etcd.templates import Generation, peer_url
from quoracy.hosts.machine import GuardFacts, HostSilent
from tests.etcd_factories import NOW, absent, machine, member_id, running_unit, status, stopped_unit
from tests.simulator.world import Setting, SimHost, World


def facts(
    setting: Setting,
    world: World,
    *,
    now: datetime = NOW,
    silent: Mapping[str, str] = {},
    guards: Mapping[str, GuardFacts] = {},
) -> EtcdFacts:
    """What gathering would find; `silent` hosts cannot be asked, `guards` are what they remember."""
    entries = _entries(setting, tuple(host.role for host in world.hosts))
    leader = None if world.leader is None else setting.cluster.hosts[world.leader].name
    found: dict[str, EtcdHostFacts | HostSilent] = {}
    for index, host in enumerate(setting.cluster.hosts):
        healthy = index in world.healthy
        led = leader if healthy or world.hosts[index].role == "learner" else None
        told = _host(setting, index, world.hosts[index], led, healthy, entries)
        if world.alarms and told.status:
            alarms = tuple(Alarm(kind, told.status.member_id) for kind in sorted(world.alarms))
            told = replace(told, status=replace(told.status, alarms=alarms))
        if now is not NOW or host.name in guards:
            guard = guards.get(host.name)
            told = replace(told, host=replace(told.host, clock_s=now.timestamp(), guard=guard))
        found[host.name] = HostSilent(silent[host.name]) if host.name in silent else told
    return EtcdFacts(hosts=found, asked_at=now)


@functools.cache
def _entries(setting: Setting, roles: tuple[str, ...]) -> tuple[MemberEntry, ...]:
    return tuple(
        MemberEntry(
            member_id(host.name),
            "" if role == "unstarted" else host.name,
            (peer_url(setting.cluster, host),),
            learner=role == "learner",
        )
        for host, role in zip(setting.cluster.hosts, roles, strict=True)
    )


@functools.cache
def _host(
    setting: Setting,
    index: int,
    host: SimHost,
    leader: str | None,
    healthy: bool,
    entries: tuple[MemberEntry, ...],
) -> EtcdHostFacts:
    return absent(
        **_disk(setting, index, host),
        has_log=bool(host.log),
        old_data=(host.old_data,) if host.old_data else (),
        places=_places(setting, host),
        unit=_unit(host),
        process=_process(setting, index, host) if host.up else None,
        status=_status(setting, index, host, leader) if host.up else None,
        healthy=healthy,
        # From 3.5 on the list needs a quorum, and a learner does not give it.
        members=entries if healthy else None,
    )


def _places(setting: Setting, host: SimHost) -> dict[str, PlaceFacts]:
    if host.config_id or host.bootstrap:
        return {}
    strangers = (host.stranger,) if host.stranger else ()
    data = PlaceFacts("directory", "etcd", strangers)
    return {"/": PlaceFacts("directory", "root"), setting.cluster.data_dir: data}


def _disk(setting: Setting, index: int, host: SimHost) -> dict[str, Any]:
    """What the files tell."""
    current = setting.generations[index, host.current] if host.current else None
    tls = setting.certificates[index, host.certificates] if host.certificates else {}
    listening = {setting.cluster.ports.client, setting.cluster.ports.peer} if host.up else set()
    return {
        "host": machine(listening=frozenset({22, *listening})),
        "data_cluster_id": host.data_id or None,
        "config_cluster_id": host.config_id or None,
        "bootstrap": host.bootstrap or None,
        "formed": host.formed,
        "unit_file": current.unit if current else None,
        "generation": current.identity if current else None,
        "version": current.version if current else None,
        "config": current.config if current else None,
        "pre_start": current.pre_start if current else None,
        "staged": {
            setting.generations[index, label].identity: content_of(setting, index, host, label)
            for label in host.staged
        },
        "releases": dict.fromkeys(host.releases, "ab" * 32),
        "certificates": {name: pem for name, pem in tls.items() if name.endswith(".pem")},
        "keys": frozenset(name.replace(".pem", ".key") for name in tls if name not in ("ca.pem",)),
    }


def content_of(setting: Setting, index: int, host: SimHost, label: str) -> str:
    """What lies there as that generation; of one that was spoiled, another unit."""
    generation = setting.generations[index, label]
    content = staged_content(setting.cluster, generation)
    unit = hashlib.sha256(generation.unit.encode()).hexdigest()
    return content.replace(unit, "0" * 64) if label in host.spoiled else content


def _unit(host: SimHost) -> UnitFacts:
    loaded = bool(host.current)
    if host.up:
        return replace(running_unit(), enabled=host.enabled)
    unit = stopped_unit("failed" if host.failed else "inactive", loaded=loaded)
    return replace(unit, enabled=host.enabled)


def _process(setting: Setting, index: int, host: SimHost) -> ProcessFacts:
    generation: Generation = setting.generations[index, host.runs]
    state = "new" if host.bootstrap else "existing"
    ca = setting.certificates[index, host.certificates]["ca.pem"]
    return ProcessFacts(
        executable=f"{setting.cluster.release_dir(generation.version)}/etcd",
        replaced=False,
        config=generation.config + f'initial-cluster-state: "{state}"\n',
        unit=generation.unit,
        ca_sha256=hashlib.sha256(ca).hexdigest(),
    )


def _status(setting: Setting, index: int, host: SimHost, leader: str | None) -> StatusFacts:
    told = status(setting.cluster, setting.cluster.hosts[index], leader)
    return replace(
        told,
        cluster_id=host.log,
        revision=told.revision + host.written,
        version=setting.generations[index, host.runs].version,
        learner=host.role == "learner",
    )
