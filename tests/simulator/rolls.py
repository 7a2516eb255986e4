"""Rolls of simulated worlds by the real planner and the real loop; the journal is not what is tested here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import combinations_with_replacement
from threading import RLock
from typing import cast

from quoracy.errors import QuoracyError, Refused
from quoracy.etcd.checks_quorum import check_can_stop
from quoracy.etcd.plan.deploy import plan_etcd_deploy
from quoracy.operation.journal import Journal
from quoracy.operation.loop import carry_out
from quoracy.operation.plan import Group, Plan
from quoracy.operation.step import Step
from quoracy.operation.verdict import require
from tests.etcd_factories import CLUSTER_ID, NEW, OLD, certificates, request, spec
from tests.simulator.facts import facts
from tests.simulator.steps import apply
from tests.simulator.world import Setting, SimHost, Spoiled, Stuck, Violation, World


def member(disk: str, runs: str = "", **changes: object) -> SimHost:
    """A formed member whose link follows `disk` and whose process, if any, was started with `runs`."""
    known = frozenset({"old", "new"} if "new" in (disk, runs) else {"old"})
    plain = SimHost(
        releases=frozenset({"old": OLD, "new": NEW}[label] for label in known),
        staged=known,
        current=disk,
        certificates="good",
        config_id=CLUSTER_ID,
        data_id=CLUSTER_ID,
        log=CLUSTER_ID,
        runs=runs,
        enabled=True,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


KINDS = {
    "old": member("old", "old"),
    "new": member("new", "new"),
    "switched": member("new", "old"),
    "down": member("old"),
    "down-new": member("new"),
    "failed": member("old", failed=True),
    "disabled": member("old", "old", enabled=False),
    "cut-old": member("old", "old", cut=True),
    "cut-new": member("new", "new", cut=True),
    "unstarted": SimHost(role="unstarted"),
    "unstarted-set-up": member("new", role="unstarted", log="", data_id=""),
    "learner": member("old", "old", role="learner"),
    "learner-new": member("new", "new", role="learner"),
}


@cache
def setting_of(count: int, downtime: bool = False) -> Setting:
    """So many members that shall go from the old release to the new one."""
    wanted = spec(count, version=NEW)
    setting = Setting(wanted, downtime=downtime)
    setting.know("old", spec(count, version=OLD))
    setting.know("new", wanted)
    for index, host in enumerate(wanted.hosts):
        setting.certificates[index, "good"] = certificates(host)
    return setting


@cache
def full_setting(count: int, larger: bool) -> Setting:
    """So many members that are out of space, and shall get a larger quota or another setting."""
    small, mib = 8 * 1024**2, 1024**2
    wanted = {"quota_backend_bytes": 16 * mib} if larger else {"snapshot_count": 5000}
    old, new = {"quota_backend_bytes": small}, {"quota_backend_bytes": small, **wanted}
    setting = Setting(spec(count, version=NEW, etcd=new), larger_quota=larger)
    setting.know("old", spec(count, version=OLD, etcd=old))
    setting.know("new", setting.cluster)
    for index, host in enumerate(setting.cluster.hosts):
        setting.certificates[index, "good"] = certificates(host)
    return setting


def worlds(count: int, kinds: tuple[str, ...]) -> Iterator[World]:
    """All multisets of kinds, each with every different leader that it may have."""
    for names in combinations_with_replacement(kinds, count):
        yield from World(tuple(KINDS[name] for name in names)).leaders()


def as_wanted(world: World) -> bool:
    """Whether every member votes, and runs the new generation, from disk and in memory."""
    return all(host.role == "voter" and host.runs == host.current == "new" for host in world.hosts)


_PLANS: dict[tuple[Setting, World, bool], Plan] = {}


def plan_of(setting: Setting, world: World, *, start_only: bool = False) -> Plan:
    """Plans are pure, so each world's is made once; what was backed up before is not seen."""
    key = (setting, replace(world, backups=0), start_only)
    if key not in _PLANS:
        asked = request(allow_downtime=setting.downtime, start_only=start_only)
        _PLANS[key] = plan_etcd_deploy(setting.cluster, facts(setting, world), asked)
    return _PLANS[key]


class Enough(BaseException):
    """The loop has done as many groups as it was asked to do."""


class _Silent:
    """The journal is not what is tested here."""

    def plan(self, plan: Plan) -> None:
        pass

    def step(self, step: Step, act: Callable[[Step], str]) -> None:
        act(step)

    def undo(self, step: Step, group: str, act: Callable[[Step], str]) -> None:
        act(step)

    def keep(self, group: str | None) -> None:
        pass

    def catch_up(self) -> None:
        pass

    def all_put_back(self, group: str | None) -> None:
        pass


@dataclass
class Work:
    """The loop's view of a world.

    Attributes:
        fail_at: The place of the step that does not succeed.
        cut_at: After so many steps, this member loses its network.
        spoil_at: After so many steps, the new generation on this host is edited.
        groups: So many groups are done, then it is enough, and no look follows.
        failed: The host of that step, once it has failed.
        met: Every world on the way.
        violations: Laws that were broken.
    """

    setting: Setting
    world: World
    fail_at: int | None = None
    cut_at: tuple[int, int] | None = None
    spoil_at: tuple[int, int] | None = None
    groups: int | None = None
    violations: list[Violation] = field(default_factory=list)
    taken: list[Step] = field(default_factory=list)
    met: list[World] = field(default_factory=list)
    failed: str = ""
    _waiting: list[Step] | None = None
    _lock: RLock = field(default_factory=RLock)
    _entered: int = 0
    _start_only: bool = False

    def carry(self) -> QuoracyError | Stuck | None:
        """Apply the plan of the world by the real loop; what stopped it, if anything."""
        plan = self.look()
        if plan.refused:
            return None
        self._start_only = plan.kind == "start"
        try:
            carry_out(plan, self, cast(Journal, _Silent()))
        except Enough:
            return None
        except (QuoracyError, Stuck) as error:
            return error
        return None

    def look(self) -> Plan:
        if self._entered == self.groups:
            raise Enough
        return plan_of(self.setting, self.world, start_only=self._start_only)

    def gate(self, group: Group) -> None:
        if group.gate:
            seen = facts(self.setting, self.world)
            require([check_can_stop(seen, group.title, allow_downtime=self.setting.downtime)])

    def apply(self, step: Step) -> str:
        with self._lock:
            self._take(step)
        return ""

    def _take(self, step: Step) -> None:
        if self.fail_at == len(self.taken):
            self.fail_at, self.failed = None, step.host
            raise Stuck(f"{step.name} on {step.host} was made to fail")
        self.taken.append(step)
        if step.name == "await-member" and self._waiting is not None:
            self._waiting.append(step)
            return
        self._apply(step)
        self.met.append(self.world)
        if self.cut_at is not None and self.cut_at[0] == len(self.taken):
            victim = self.cut_at[1]
            self.world = self.world.put(victim, replace(self.world.hosts[victim], cut=True))
        if self.spoil_at is not None and self.spoil_at[0] == len(self.taken):
            self._spoil(self.spoil_at[1])

    def _spoil(self, index: int) -> None:
        host = self.world.hosts[index]
        self.world = self.world.put(index, replace(host, spoiled=host.staged & {"new"}))

    def _apply(self, step: Step) -> None:
        try:
            self.world = apply(self.setting, self.world, step)
        except Violation as violation:
            self.violations.append(violation)
            raise
        except Spoiled as spoiled:
            raise Refused(str(spoiled), where=step.host) from spoiled

    def approve(self, done: Group, left: tuple[Group, ...]) -> bool:
        return False

    def enter(self, group: Group, body: Callable[[], None]) -> None:
        self._entered += 1
        # Side by side, one member waits while the others start: waiting ends with the group.
        self._waiting = [] if group.parallel else None
        body()
        waited, self._waiting = self._waiting or [], None
        for step in waited:
            self._apply(step)
