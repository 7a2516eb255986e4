"""One round of `make bench-redeploy`: one change, brought by every side in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.redeploy_hosts import Reach
from bench.redeploy_ours import Quoracy, Ran
from bench.redeploy_sides import Ansistrano, Rsync
from bench.redeploy_times import ANSISTRANO, GATE, KEPT, OURS, TYPED, Place, Times
from bench.redeploy_trees import Case, Tree
from lab.lab import Lab

Reaches = Sequence[Reach]


@dataclass(slots=True)
class Race:
    """All sides, each with a host of its own (both of rsync share one), and the times they took."""

    lab: Lab
    directory: Path
    ours: Quoracy
    typed: Rsync
    kept: Rsync
    ansistrano: Ansistrano
    times: Times = field(default_factory=Times)

    def prepare(self, tree: Tree, reaches: Reaches) -> None:
        """Every side has the tree, and its connection if it keeps one."""
        self.ours.want(tree, reaches[:1])
        self.ours.operate()
        for deliver in self._others(tree, reaches).values():
            deliver(Case.NOTHING)

    def round(self, tree: Tree, place: Place, reaches: Reaches, case: Case, number: int) -> None:
        """Make one change; all sides bring it, another one first in each round."""

        def ours(case: Case) -> float:
            ran = self.ours.operate()
            _require_as_changed(case, ran)
            self.times.add(place, case, GATE, ran.gate_s)
            return ran.delivered_s

        tree.change(case)
        sides = [(OURS, ours), *self._others(tree, reaches).items()]
        first = number % len(sides)
        for side, deliver in (*sides[first:], *sides[:first]):
            self.times.add(place, case, side, deliver(case))

    def leave(self, reaches: Reaches) -> None:
        """End the connections that were kept."""
        self.kept.close(reaches[1])
        self.ansistrano.close(reaches[2])

    def _others(self, tree: Tree, reaches: Reaches) -> dict[str, Callable[[Case], float]]:
        _, rsync, ansistrano = reaches
        return {
            TYPED: lambda case: self.typed.deliver(tree, case, rsync),
            KEPT: lambda case: self.kept.deliver(tree, case, rsync),
            ANSISTRANO: lambda case: self.ansistrano.deliver(tree, case, ansistrano),
        }


def _require_as_changed(case: Case, ran: Ran) -> None:
    """Nothing is done exactly when nothing has changed; else the numbers mean something else."""
    wanted = "nothing_to_do" if case is Case.NOTHING else "done"
    if ran.outcome != wanted:
        raise RuntimeError(f"{case.value}: the operation ended as {ran.outcome}, not {wanted}")
