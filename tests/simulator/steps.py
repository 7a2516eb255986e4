"""What each step does to a simulated world, and the laws that it must not break meanwhile.

A step is known by its name and fields only: what the planner means by it is not asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.simulator.world import Setting, SimHost, Spoiled, Stuck, Violation, World


def apply(setting: Setting, world: World, step: Any) -> World:
    """The world after a step that succeeded.

    Raises:
        Violation: The step would break a law.
        Stuck: The step cannot succeed in this world.
    """
    if step.name == "pin-cluster":
        return _agreed(world)
    index = setting.index(step.host)
    host = world.hosts[index]
    _require_backup(world, host, step.name)
    _require_no_alarm(setting, world, step)
    if step.name == "take-snapshot":
        if index not in world.healthy:
            raise Violation(f"the snapshot is taken through {step.host}, which is not healthy")
        if _diverged(world):
            raise Violation("a snapshot is taken of members that hold different data")
        return replace(world, backups=world.backups + 1)
    return world.put(index, _STEPS[step.name](setting, world, index, step))


def cluster_id(bootstrap: str) -> str:
    """etcd makes the ID of a cluster from its members and its token."""
    return hashlib.sha256(bootstrap.encode()).hexdigest()[:16]


def _agreed(world: World) -> World:
    if not world.quorate or len({host.log for host in world.hosts}) != 1:
        raise Stuck("the members do not agree on one cluster")
    if _diverged(world):
        raise Stuck("the members hold different data")
    return world


def _diverged(world: World) -> bool:
    return len({world.hosts[index].written for index in world.healthy}) > 1


def _prepare(setting: Setting, world: World, index: int, step: Any) -> SimHost:
    host = world.hosts[index]
    if host.stranger or (host.old_data and not host.bootstrap):
        raise Violation(f"{step.host}: etcd is given a directory that is not its own")
    return host


def _install(setting: Setting, world: World, index: int, step: Any) -> SimHost:
    host = world.hosts[index]
    return replace(host, releases=host.releases | {step.version})


def _stage(setting: Setting, world: World, index: int, step: Any) -> SimHost:
    host, label = world.hosts[index], setting.label(index, step.generation.identity)
    setting.generations.setdefault((index, label), step.generation)
    return replace(host, staged=host.staged | {label}, spoiled=host.spoiled - {label})


def _certify(setting: Setting, world: World, index: int, step: Any) -> SimHost:
    host = world.hosts[index]
    if host.up:
        raise Violation(f"certificates of {step.host} are replaced while its member runs")
    if (index, "made") not in setting.certificates:
        raise Stuck(f"there are no certificates for {step.host}")
    return replace(host, certificates="made")


def _write_bootstrap(setting: Setting, world: World, index: int, step: Any) -> SimHost:
    host = world.hosts[index]
    if host.config_id:
        raise Violation(f"{step.host} has formed its cluster and gets keys of a first start")
    return replace(host, bootstrap=step.content)


def _switch(setting: Setting, world: World, index: int, step: Any) -> SimHost:
    host, label = world.hosts[index], setting.label(index, step.identity)
    if label not in host.staged:
        raise Stuck(f"generation {label} is not staged on {step.host}")
    _require_as_planned(host, label, step)
    if setting.version(index, label) not in host.releases:
        raise Stuck(f"the release of generation {label} is not on {step.host}")
    return replace(host, current=label)


def _withdraw_generation(setting: Setting, world: World, index: int, step: Any) -> SimHost:
    return replace(world.hosts[index], current="")


def _withdraw_bootstrap(setting: Setting, world: World, index: int, step: Any) -> SimHost:
    return replace(world.hosts[index], bootstrap="")


def _form(setting: Setting, world: World, index: int, step: Any) -> SimHost:
    host = world.hosts[index]
    if not host.bootstrap:
        raise Violation(f"{step.host} would start for the first time without the keys for it")
    if host.old_data:
        raise Violation(f"{step.host} would start for the first time over old data")
    host = _start(setting, world, index, step)
    return replace(host, log=host.log or cluster_id(host.bootstrap), formed=True)


def _withdraw_member(setting: Setting, world: World, index: int, step: Any) -> SimHost:
    host = world.hosts[index]
    if host.config_id:
        raise Violation(f"{step.host} has a formed member, and its data would be moved aside")
    return replace(host, runs="", failed=False, enabled=False, log="", bootstrap="", formed=False)


def _stop(setting: Setting, world: World, index: int, step: Any) -> SimHost:
    host = world.hosts[index]
    if host.up:
        _require_as_planned(host, setting.label(index, step.content.split("\n")[0]), step)
        require_quorum_without(setting, world, index)
    return replace(host, runs="", failed=False)


def _halt(setting: Setting, world: World, index: int, step: Any) -> SimHost:
    """Part of putting back: it may leave a cluster without quorum as it was, and not make one so."""
    host = world.hosts[index]
    if host.up and world.quorate:
        require_quorum_without(setting, world, index)
    return replace(host, runs="", failed=False)


def _start(setting: Setting, world: World, index: int, step: Any) -> SimHost:
    host = world.hosts[index]
    if host.up:
        return replace(host, enabled=True)
    if not host.current or not host.certificates:
        raise Stuck(f"{step.host} has nothing to start")
    _require_as_planned(host, host.current, step)
    if (host.config_id and host.log != host.config_id) or (host.formed and not host.log):
        raise Violation(f"a voter without its log would be started on {step.host}")
    if setting.version(index, host.current) in host.broken:
        raise Stuck(f"the member on {step.host} does not come up")
    return replace(host, runs=host.current, failed=False, enabled=True)


def _resume(setting: Setting, world: World, index: int, step: Any) -> SimHost:
    try:
        return _start(setting, world, index, step)
    except Stuck:  # nobody waits for it
        return replace(world.hosts[index], failed=True)


def _enable(setting: Setting, world: World, index: int, step: Any) -> SimHost:
    return replace(world.hosts[index], enabled=True)


def _await(setting: Setting, world: World, index: int, step: Any) -> SimHost:
    if index not in world.healthy:
        raise Stuck(f"the member on {step.host} does not become healthy")
    return world.hosts[index]


def _finish(setting: Setting, world: World, index: int, step: Any) -> SimHost:
    host = world.hosts[index]
    if not host.log:
        raise Violation(f"{step.host} would be marked as formed without a log")
    return replace(host, bootstrap="", formed=False, config_id=host.log, data_id=host.log)


_STEPS: dict[str, Callable[[Setting, World, int, Any], SimHost]] = {
    "prepare-host": _prepare,
    "install-release": _install,
    "write-certificates": _certify,
    "stage-generation": _stage,
    "write-bootstrap": _write_bootstrap,
    "switch-generation": _switch,
    "withdraw-bootstrap": _withdraw_bootstrap,
    "withdraw-generation": _withdraw_generation,
    "form-member": _form,
    "withdraw-member": _withdraw_member,
    "stop-member": _stop,
    "halt-member": _halt,
    "start-member": _start,
    "resume-member": _resume,
    "enable-member": _enable,
    "await-member": _await,
    "finish-bootstrap": _finish,
}


def require_quorum_without(setting: Setting, world: World, index: int) -> None:
    """Law 1: the healthy voters that are left must be a quorum. A member that does not vote may go."""
    if index not in world.voters:
        return
    left = world.healthy - {index}
    if len(left) >= world.needed:
        return
    small = len(world.voters) <= 2 and setting.downtime and len(left) == len(world.voters) - 1
    if not small:
        raise Violation(
            f"stopping member {index} leaves {len(left)} healthy of {len(world.voters)} voters"
        )


def _require_as_planned(host: SimHost, label: str, step: Any) -> None:
    """The host compares what is to come into use with what was planned; nothing else ever runs."""
    if not step.content:
        raise Violation(f"{step.name} on {step.host} without knowing what comes into use")
    if label in host.spoiled:
        raise Spoiled(f"generation {label} on {step.host} is not what was planned")


def _require_no_alarm(setting: Setting, world: World, step: Any) -> None:
    """Corrupt data stop everything; without space only a larger quota is a reason to stop a member."""
    if world.alarms - {"NOSPACE"}:
        raise Violation(f"{step.name} under {', '.join(world.alarms)}")
    if world.alarms and step.name == "stop-member" and not setting.larger_quota:
        raise Violation(f"{step.host} is stopped without space, and not for a larger quota")


def _require_backup(world: World, host: SimHost, name: str) -> None:
    """Law 2: only forming a cluster and starting what is stopped need no snapshot."""
    if not host.config_id:
        return
    changing = name in ("install-release", "stage-generation", "switch-generation")
    if (changing or (name == "stop-member" and host.up)) and not world.backups:
        raise Violation(f"{name} before there was a backup")
