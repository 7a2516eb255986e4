"""A small world of one cluster under a roll: steps change it, facts are read off it. No shell, no clock.

It is the judge of the laws as well, so it imports neither plan nor checks: what may be stopped is
counted here anew.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from etcd_factories import (
    entries,
    facts_of,
    process,
    running,
    status,
    stopped,
    stopped_unit,
)

from quoracy.facts.etcd import EtcdHostFacts
from quoracy.facts.etcd_cluster import EtcdFacts
from quoracy.spec.etcd import EtcdCluster


@dataclass(frozen=True, slots=True)
class Kind:
    """One member: whether it runs and with what, what its disk follows, and what is wrong with it.

    Attributes:
        up: A process runs.
        runs: "old" or "new"; of a stopped member, what it ran with last.
        disk: The generation that unit and link follow.
        failed: systemd has given up on it (only when not up).
        cut: The other members cannot be reached from it.
    """

    up: bool
    runs: str
    disk: str
    failed: bool = False
    cut: bool = False


KINDS = {
    "old": Kind(True, "old", "old"),
    "new": Kind(True, "new", "new"),
    "switched": Kind(True, "old", "new"),
    "down-old": Kind(False, "old", "old"),
    "down-new": Kind(False, "old", "new"),
    "failed": Kind(False, "old", "old", failed=True),
    "cut-old": Kind(True, "old", "old", cut=True),
    "cut-new": Kind(True, "new", "new", cut=True),
}


class Violation(Exception):
    """A law was broken."""


class Stuck(Exception):
    """A step could not do what it is for."""


@dataclass(frozen=True, slots=True)
class World:
    """The cluster of `old` and `new` specs in one state; hashable, so plans of it can be kept."""

    members: tuple[Kind, ...]
    leader: int | None
    prepared: frozenset[int] = frozenset()
    backups: int = 0

    @property
    def needed(self) -> int:
        """How many voters must be up."""
        return len(self.members) // 2 + 1

    @property
    def healthy(self) -> frozenset[int]:
        """Members that serve linearizable reads: all that reach each other, when they are enough."""
        reachable = frozenset(i for i, m in enumerate(self.members) if m.up and not m.cut)
        return reachable if len(reachable) >= self.needed else frozenset()

    def with_leader(self) -> World:
        """After an election, when the leader is gone: the highest member wins."""
        if self.leader in self.healthy:
            return self
        return replace(self, leader=max(self.healthy, default=None))


@dataclass(frozen=True, slots=True)
class Setting:
    """What the world is about: the specs before and after the change.

    Attributes:
        downtime: Stopping a member of a cluster of one or two was allowed.
    """

    old: EtcdCluster
    new: EtcdCluster
    downtime: bool = False

    def index(self, host: str) -> int:
        return [h.name for h in self.new.hosts].index(host)


def facts(setting: Setting, world: World) -> EtcdFacts:
    """What gathering would find."""
    leader = None if world.leader is None else setting.new.hosts[world.leader].name
    hosts = {}
    for index, host in enumerate(setting.new.hosts):
        hosts[host.name] = _host_facts(
            _Key(setting, index, world.members[index], index in world.prepared),
            leader if index in world.healthy else None,
            index in world.healthy,
        )
    return facts_of(hosts)


@dataclass(frozen=True, slots=True)
class _Key:
    setting: Setting
    index: int
    kind: Kind
    prepared: bool

    # The specs hold a dictionary and cannot be hashed; there is one setting per object.
    def __hash__(self) -> int:
        return hash((id(self.setting), self.index, self.kind, self.prepared))


@functools.cache
def _host_facts(key: _Key, leader: str | None, healthy: bool) -> EtcdHostFacts:
    setting, kind = key.setting, key.kind
    specs = {"old": setting.old, "new": setting.new}
    host = setting.new.hosts[key.index]
    disk, runs = specs[kind.disk], specs[kind.runs]
    on_disk = stopped(disk, host)
    both: dict[str, Any] = {"staged": on_disk.staged, "releases": on_disk.releases}
    if key.prepared:
        wanted = stopped(setting.new, host)
        both["staged"] |= wanted.staged
        both["releases"] = {**on_disk.releases, **wanted.releases}
    if not kind.up:
        return stopped(
            disk, host, unit=stopped_unit("failed" if kind.failed else "inactive"), **both
        )
    return running(
        disk,
        host,
        process=process(runs, host),
        status=status(runs, host, leader),
        healthy=healthy,
        # From 3.5 on the list needs a quorum.
        members=entries(runs) if healthy else None,
        **both,
    )


def apply(setting: Setting, world: World, step: object) -> World:
    """The world after a step that succeeded.

    Raises:
        Violation: The step would break a law.
        Stuck: The step cannot succeed in this world.
    """
    name, host = str(getattr(step, "name")), str(getattr(step, "host"))  # noqa: B009
    index = setting.index(host)
    member = world.members[index]
    require_backup(world, member, name)
    if name == "take-snapshot":
        if index not in world.healthy:
            raise Violation(f"the snapshot is taken through {host}, which is not healthy")
        return replace(world, backups=world.backups + 1)
    if name in ("install-release", "stage-generation"):
        return replace(world, prepared=world.prepared | {index})
    changed = _STEPS[name](setting, world, index, member, step)
    members = (*world.members[:index], changed, *world.members[index + 1 :])
    return replace(world, members=members).with_leader()


def _switch(setting: Setting, world: World, index: int, member: Kind, step: object) -> Kind:
    identity = str(getattr(step, "identity"))  # noqa: B009
    host = setting.new.hosts[index]
    for which, spec in (("old", setting.old), ("new", setting.new)):
        if identity in stopped(spec, host).staged:
            staged = which == "old" or member.disk == "new" or index in world.prepared
            if not staged:
                raise Stuck(f"generation {identity} is not staged on {host.name}")
            return replace(member, disk=which)
    raise Stuck(f"generation {identity} is nobody's")


def _stop(setting: Setting, world: World, index: int, member: Kind, _step: object) -> Kind:
    if member.up:
        require_quorum_without(setting, world, index)
    return replace(member, up=False, failed=False)


def _halt(setting: Setting, world: World, index: int, member: Kind, _step: object) -> Kind:
    """Part of putting back: it may leave a cluster without quorum as it was, and not make one so."""
    if member.up and world.healthy:
        require_quorum_without(setting, world, index)
    return replace(member, up=False, failed=False)


def _start(setting: Setting, world: World, index: int, member: Kind, _step: object) -> Kind:
    return member if member.up else replace(member, up=True, failed=False, runs=member.disk)


def _await(setting: Setting, world: World, index: int, member: Kind, _step: object) -> Kind:
    if index not in world.healthy:
        raise Stuck("the member does not become healthy")
    return member


_STEPS: dict[str, Callable[[Setting, World, int, Kind, object], Kind]] = {
    "switch-generation": _switch,
    "stop-member": _stop,
    "halt-member": _halt,
    "start-member": _start,
    "await-member": _await,
}


def require_quorum_without(setting: Setting, world: World, index: int) -> None:
    """Law 1: the healthy voters that are left must be a quorum."""
    left = world.healthy - {index}
    if len(left) >= world.needed:
        return
    small = len(world.members) <= 2 and setting.downtime and len(left) == len(world.members) - 1
    if not small:
        raise Violation(
            f"stopping member {index} leaves {len(left)} healthy of {len(world.members)}"
        )


def require_backup(world: World, member: Kind, name: str) -> None:
    """Law 2: only starting what is stopped needs no snapshot."""
    changing = name in ("install-release", "stage-generation", "switch-generation")
    if (changing or (name == "stop-member" and member.up)) and not world.backups:
        raise Violation(f"{name} before there was a backup")


def as_wanted(world: World) -> bool:
    """Whether every member runs the new generation, from disk and in memory."""
    return all(m.up and m.runs == "new" and m.disk == "new" for m in world.members)
