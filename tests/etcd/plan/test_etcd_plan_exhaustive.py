"""Up to seven members: every multiset of member states with every leader, interrupted after every step.

A graph of worlds: its nodes are all multisets of {old, new, down, unstarted, learner} with each leader, and
every world that a killed run can leave behind. From each one the real loop does one group of the real
plan; each step is judged by the world (`simulator.steps`), which knows neither plan nor checks. So a
roll that is killed after any step, any number of times, is a way through the graph, and none is tried twice.

Worlds that differ only in the order of the hosts are one node: the spec's order decides no more than who
of several followers, or of several members that are down, comes first. Up to four members both
orders are tried.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from quoracy.operation.plan import Plan
from tests.simulator.rolls import Work, as_wanted, plan_of, setting_of, worlds
from tests.simulator.steps import apply
from tests.simulator.world import Setting, SimHost, World

BASE = ("old", "new", "down", "unstarted", "learner")
MORE = (*BASE, "switched", "failed", "disabled", "unstarted-set-up", "learner-new")

CHANGING = ("install-release", "stage-generation", "switch-generation", "stop-member")


@dataclass
class Graph:
    """What was found from some worlds on.

    Attributes:
        after: The world after the first group of a world's plan; None where there is nothing to do.
        refused: Worlds that a deploy leaves to another command.
        interruptions: How many times a killed run was looked at.
        steps: How many steps were judged.
    """

    setting: Setting
    reverse: bool = False
    after: dict[World, World | None] = field(default_factory=dict)
    refused: set[World] = field(default_factory=set)
    interruptions: int = 0
    steps: int = 0

    def explore(self, start: list[World]) -> None:
        """Visit the worlds and whatever can be reached from them."""
        waiting = [self._new_run(world) for world in start]
        while waiting:
            world = waiting.pop()
            if world not in self.after:
                waiting += self._visit(world)

    def _visit(self, world: World) -> list[World]:
        plan = plan_of(self.setting, world)
        self.after[world] = None
        require_due(self.setting, world, plan)
        if plan.refused:
            self.refused.add(world)
            return []
        if not plan.groups:
            assert as_wanted(world), f"{plan.title}: {world}"
            return []
        work = Work(self.setting, world, groups=1)
        error = work.carry()
        assert error is None, f"{plan.title}: {world}: {error}"
        self.steps += len(work.taken)
        self.after[world] = self._new_run(work.world)
        met = self._side_by_side(world, plan) if plan.groups[0].parallel else work.met
        self.interruptions += len(met)
        if len(world.hosts) > 2:
            require_progress(self.setting, [world, *met])
        return [self._new_run(other) for one in (*met, work.world) for other in one.leaders()]

    def _side_by_side(self, world: World, plan: Plan) -> list[World]:
        """Where hosts act at once, each may be the first: what they leave together is found from there."""
        for step in plan.before:
            world = apply(self.setting, world, step)
        first = {step.host: step for step in reversed(plan.groups[0].steps)}
        self.steps += len(first)
        return [apply(self.setting, world, step) for step in first.values()]

    def _new_run(self, world: World) -> World:
        """What the next run finds: its own snapshot is still to be taken."""
        return replace(world, backups=0).sorted(reverse=self.reverse)

    def require_convergence(self) -> None:
        """Group by group, every world comes to an end: as wanted, or refused as it was found."""
        ends: set[World] = set()
        for start in self.after:
            way: dict[World, None] = {}
            world: World | None = start
            while world is not None and world not in ends:
                assert world not in way, f"it goes round in circles from {start}"
                way[world] = None
                world = self.after[world]
            ends |= way.keys()


def require_due(setting: Setting, world: World, plan: Plan) -> None:
    """Counted here anew: a refusal is due and says which command helps, or there is none.

    Members to be made or promoted are not a deploy's business. Without quorum it may at most start
    what is stopped.
    """
    others = any(host.role != "voter" for host in world.hosts)
    stops = any(host.runs == "old" for host in world.hosts)
    small = len(world.hosts) <= 2 and not setting.downtime and stops
    if world.quorate:
        assert plan.refused == (others or small), f"{plan.title}: {plan.verdicts}: {world}"
    else:
        assert plan.kind == "start" or (others and plan.refused), f"{plan.title}: {world}"
        assert not any(step.name in CHANGING for _, step in plan.steps) or plan.refused
    if others and plan.refused:
        said = " ".join(v.next_step for v in plan.verdicts if v.stops)
        assert "is not built yet" in said, f"{said}: {world}"


def left(setting: Setting, host: SimHost) -> int:
    """How much there is to do on a host; each step takes something off."""
    return (
        ("new" not in host.staged)
        + (setting.version(0, "new") not in host.releases)
        + (host.current != "new")
        + host.failed
        + (not host.enabled)
        + {"old": 2, "": 1, "new": 0}[host.runs]
    )


def measure(setting: Setting, world: World) -> tuple[bool, int]:
    """Quorum first, which no step may lose; then what is left to do. Falls with every step."""
    if not world.quorate:
        return True, sum((not host.up) + host.failed for host in world.hosts)
    return False, sum(left(setting, host) for host in world.hosts)


def require_progress(setting: Setting, way: list[World]) -> None:
    """Killed after each step for ever, it still gets on: no step leads back."""
    start, *met = way
    for world in met:
        changed = world.hosts != start.hosts
        assert not changed or measure(setting, world) < measure(setting, start), (
            f"{start} -> {world}"
        )


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("count", "kinds", "downtime", "orders"),
    [
        (1, MORE, False, (False,)),
        (1, MORE, True, (False,)),
        (2, MORE, False, (False, True)),
        (2, MORE, True, (False, True)),
        (3, MORE, False, (False, True)),
        (4, (*BASE, "switched"), False, (False, True)),
        (5, BASE, False, (False,)),
        (6, BASE, False, (False,)),
        (7, BASE, False, (False,)),
    ],
)
def test_every_world_converges_within_the_laws(
    count: int,
    kinds: tuple[str, ...],
    downtime: bool,
    orders: tuple[bool, ...],
    say: Callable[[str], None],
) -> None:
    start = list(worlds(count, kinds))
    for reverse in orders:
        graph = Graph(setting_of(count, downtime), reverse)
        graph.explore(start)
        graph.require_convergence()
        wanted = sum(map(as_wanted, graph.after))
        say(
            f"{count} members of {len(kinds)} kinds, downtime={downtime}"
            f"{', hosts the other way round' if reverse else ''}: {len(start)} states given, "
            f"{len(graph.after)} with those that interrupted runs leave; {len(graph.refused)} refused, "
            f"{wanted} as wanted, {graph.interruptions} interruptions, {graph.steps} steps judged"
        )
        assert wanted
