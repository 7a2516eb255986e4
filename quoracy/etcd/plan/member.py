"""One member: what is wanted beside what is found, and the steps from the one to the other. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

from quoracy.errors import UsageError
from quoracy.etcd.facts import EtcdHostFacts, ProcessFacts
from quoracy.etcd.plan.content import at_start, at_stop, found_content, wanted_content
from quoracy.etcd.spec import EtcdCluster, EtcdHost
from quoracy.etcd.steps import (
    AwaitMember,
    EnableMember,
    HaltMember,
    InstallRelease,
    StageGeneration,
    StartMember,
    StopMember,
    SwitchGeneration,
)
from quoracy.etcd.templates import BOOTSTRAP_KEYS, render_generation
from quoracy.hosts.bounded import one_line
from quoracy.hosts.limits import SETTINGS_BYTES
from quoracy.operation.plan import Change
from quoracy.operation.step import Step
from quoracy.specs.document import CLUSTER, load

DEFAULT_QUOTA = 2 * 1024**3


def running_changes(cluster: EtcdCluster, host: EtcdHost, facts: EtcdHostFacts) -> list[Change]:
    """Differences between what the process runs with and what is wanted: reasons to restart it.

    Keys that etcd reads only at its first start, the pre-start check and leaf certificates are not
    among them. A member without a process has no such differences; it is simply not running.
    """
    process = facts.process
    if process is None:
        return []
    wanted = render_generation(cluster, host)
    changes = _version_changes(cluster, host.name, process, facts)
    changes += _ca_changes(host.name, process, facts)
    changes += [
        Change(host.name, key, before, after)
        for key, before, after in _setting_changes(process.config, wanted.config)
    ]
    changes += [
        Change(host.name, f"unit {key}", before, after)
        for key, before, after in _unit_changes(process.unit, wanted.unit)
    ]
    return changes


def disk_changes(cluster: EtcdCluster, host: EtcdHost, facts: EtcdHostFacts) -> list[Change]:
    """Differences between the files on disk and what is wanted: reasons to switch, not to restart."""
    wanted = render_generation(cluster, host)
    changes = []
    if facts.generation != wanted.identity:
        changes.append(Change(host.name, "generation", facts.generation or "none", wanted.identity))
    for what, found, content in (
        ("config file", facts.config, wanted.config),
        ("unit file", facts.unit_file, wanted.unit),
        ("pre-start file", facts.pre_start, wanted.pre_start),
    ):
        if facts.generation == wanted.identity and found != content:
            changes.append(Change(host.name, what, "edited on the host", "as rendered"))
    # What lies behind the link and is neither read above nor wanted.
    if not changes and _spoiled(cluster, host, facts):
        changes.append(Change(host.name, "generation", "edited on the host", wanted.identity))
    return changes


def raises_quota(cluster: EtcdCluster, host: EtcdHost, facts: EtcdHostFacts) -> bool:
    """Whether the member would get a larger quota than it has, or would start with."""
    config = facts.process.config if facts.process else facts.config or ""
    return _quota(config) < _quota(render_generation(cluster, host).config)


def follows(cluster: EtcdCluster, host: EtcdHost, facts: EtcdHostFacts) -> bool:
    """Whether link and unit are the wanted ones; what was edited behind the link is staged anew."""
    wanted = render_generation(cluster, host)
    return facts.generation == wanted.identity and facts.unit_file == wanted.unit


def preparation(cluster: EtcdCluster, host: EtcdHost, facts: EtcdHostFacts) -> list[Step]:
    """Steps that touch no process: the release and the generation beside those in use."""
    wanted = render_generation(cluster, host)
    steps: list[Step] = []
    if cluster.version not in facts.releases:
        steps.append(InstallRelease(host.name, cluster.version))
    if _spoiled(cluster, host, facts):
        steps.append(StageGeneration(host.name, wanted))
    if facts.unit.running and not facts.unit.enabled:
        steps.append(EnableMember(host.name))
    return steps


def member_steps(
    cluster: EtcdCluster, host: EtcdHost, facts: EtcdHostFacts
) -> tuple[tuple[Step, ...], bool]:
    """Steps that make the member run as wanted, and whether they take it down.

    Returns:
        The steps in order, empty when nothing is to be done, and True when a running voter is
        stopped on the way.
    """
    switch = [] if follows(cluster, host, facts) else [switch_step(cluster, host, facts)]
    wanted = wanted_content(cluster, host)
    up = StartMember(host.name, content=at_start(cluster, wanted)), AwaitMember(host.name)
    if facts.unit.pid and not facts.unit.running:
        # It is on its way up and may already vote: only the gate allows to stop it.
        if not switch and not running_changes(cluster, host, facts):
            return (up[-1],), False
        return (_stop(cluster, host, facts), *switch, *up), True
    if not facts.unit.running:
        # A unit that is failing over and over is stopped first, or systemd starts it in between.
        down: list[Step] = [] if facts.unit.active == "inactive" else [HaltMember(host.name)]
        return (*down, *switch, replace(up[0], unchanged=not switch), up[1]), False
    if running_changes(cluster, host, facts):
        return (_stop(cluster, host, facts), *switch, *up), True
    return tuple(switch), False


def switch_step(
    cluster: EtcdCluster, host: EtcdHost, facts: EtcdHostFacts, *, withdraw: bool = True
) -> SwitchGeneration:
    """The switch to the wanted generation; what it holds is asked again on the host, both ways."""
    return SwitchGeneration(
        host.name,
        render_generation(cluster, host).identity,
        facts.generation,
        wanted_content(cluster, host),
        _kept(cluster, host, facts),
        withdraw,
    )


def _stop(cluster: EtcdCluster, host: EtcdHost, facts: EtcdHostFacts) -> StopMember:
    """Nothing is stopped for what is not there to be started."""
    content = at_stop(cluster, wanted_content(cluster, host), facts)
    kept = _kept(cluster, host, facts)
    return StopMember(host.name, content, kept, served=facts.unit.running and facts.healthy)


def _kept(cluster: EtcdCluster, host: EtcdHost, facts: EtcdHostFacts) -> str:
    """What the generation to go back to holds; the wanted one has been staged anew by then."""
    if facts.generation == render_generation(cluster, host).identity:
        return wanted_content(cluster, host)
    return found_content(facts)


def _spoiled(cluster: EtcdCluster, host: EtcdHost, facts: EtcdHostFacts) -> bool:
    """Whether the wanted generation does not lie there whole, or was edited there since it was staged."""
    wanted = render_generation(cluster, host).identity
    return facts.staged.get(wanted) != wanted_content(cluster, host)


def _version_changes(
    cluster: EtcdCluster, host: str, process: ProcessFacts, facts: EtcdHostFacts
) -> list[Change]:
    # A process that ended while it was looked at has no executable.
    started = PurePosixPath(process.executable).parent.name or "unknown"
    running = facts.status.version if facts.status else started
    if running != cluster.version:
        return [Change(host, "version", running, cluster.version)]
    # The path of the executable is no evidence: the directory may be reached through a link.
    wanted = render_generation(cluster, cluster.host(host)).identity
    if process.replaced and facts.generation == wanted:
        return [Change(host, "release", "replaced on disk since the start", cluster.version)]
    return []


def _ca_changes(host: str, process: ProcessFacts, facts: EtcdHostFacts) -> list[Change]:
    """etcd reads leaf certificates at each handshake, but the trusted CA only at its start."""
    on_disk = hashlib.sha256(facts.certificates.get("ca.pem", b"")).hexdigest()
    if not process.ca_sha256 or process.ca_sha256 == on_disk:
        return []
    return [Change(host, "trusted CA", process.ca_sha256[:12], on_disk[:12])]


def _setting_changes(running: str, wanted: str) -> Iterator[tuple[str, str, str]]:
    """Keys of the configuration that differ, with both values as text."""
    before, after = settings(running), settings(wanted)
    for key in sorted(before.keys() | after.keys()):
        if key not in BOOTSTRAP_KEYS and before.get(key) != after.get(key):
            yield key, _shown(before, key), _shown(after, key)


@lru_cache(maxsize=64)
def settings(text: str) -> Mapping[str, Any]:
    """Keys and values of a configuration; empty when it is none.

    Parsed once: a plan compares each text twice, and plans are made after every member. It comes from a host,
    so no more of YAML is understood than is rendered here: no anchors, no tags, no depth.
    """
    if len(text) > SETTINGS_BYTES:
        return {}
    try:
        return {str(key): value for key, value in load(text, "etcd.yaml", CLUSTER).data.items()}
    except UsageError:
        return {}  # not what was rendered, so everything differs


def _quota(config: str) -> float:
    """Bytes; zero and nothing stand for etcd's default, a negative number for no quota."""
    told = settings(config).get("quota-backend-bytes", 0)
    quota = told if isinstance(told, int) else 0
    return float("inf") if quota < 0 else quota or DEFAULT_QUOTA


def _unit_changes(running: str, wanted: str) -> Iterator[tuple[str, str, str]]:
    """Directives of the unit that differ; comments and order of directives do not count."""
    before, after = _directives(running), _directives(wanted)
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            yield key, _shown(before, key), _shown(after, key)


def _directives(text: str) -> dict[str, str]:
    lines = (line for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


def _shown(values: Mapping[str, Any], key: str) -> str:
    return one_line(str(values[key])) if key in values else "unset"
