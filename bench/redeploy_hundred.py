"""A hundred redeployments in a row, every tenth of them broken, under pollers that judge alone.

python -m bench.redeploy_hundred [NUMBER]
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from bench.poller_process import Settings
from bench.pollers import Polled, Pollers
from bench.redeploy_hosts import reaches
from bench.redeploy_ours import PORT, Quoracy
from bench.redeploy_trees import Fault, Tree
from lab.lab import Lab
from quoracy.errors import RolledBack
from quoracy.home import load_home

LAB = "hundred"
FILES = 200
EVERY = 10
GATE_TIMEOUT_S = 6
#: Seconds that a broken release may be seen beyond that: the restart back is not the gate's.
WAY_BACK_S = 1.0
#: In turn: one that answers 500, one that serves for two seconds and dies, one that never listens.
FAULTS = (Fault.ANSWERS_500, Fault.DIES, Fault.SILENT)


@dataclass(frozen=True, slots=True)
class Many:
    """Redeployments in a row, as the pollers saw them and as they ended.

    Attributes:
        good: Releases that were to serve, in order; the first one served before.
        broken: Releases that were not, with how they were broken.
        outcomes: How the redeployment of each release ended.
    """

    good: tuple[str, ...]
    broken: dict[str, Fault]
    outcomes: dict[str, str]
    polled: Polled
    gate_timeout_s: float

    def problems(self) -> list[str]:
        """What must not be, and was; empty when all holds."""
        return [
            *(f"an answer of {one.release} and {one.asset}" for one in self.polled.mixed()),
            *self._exposed_too_long(),
            *self._ended_otherwise(),
            *self._out_of_order(),
        ]

    @property
    def longest_exposed_s(self) -> float:
        """The longest that a broken release was seen in answers."""
        return max((self.polled.exposed_s(release) for release in self.broken), default=0.0)

    def _exposed_too_long(self) -> list[str]:
        found = {release: self.polled.exposed_s(release) for release in self.broken}
        return [
            f"{release} ({self.broken[release]}) was exposed for {seconds:.2f} s"
            for release, seconds in found.items()
            if seconds > self.gate_timeout_s + WAY_BACK_S
        ]

    def _ended_otherwise(self) -> list[str]:
        wanted = dict.fromkeys(self.good, "done") | dict.fromkeys(self.broken, "rolled_back")
        return [
            f"the redeployment of {release} ended as {self.outcomes.get(release)}, not {outcome}"
            for release, outcome in wanted.items()
            if self.outcomes.get(release) != outcome
        ]

    def _out_of_order(self) -> list[str]:
        """Each good release is seen, and none of them before the one that precedes it."""
        firsts = [(release, self.polled.first_answer(release)) for release in self.good]
        problems = [f"no poller has seen {release}" for release, first in firsts if first is None]
        seen = [(first, release) for release, first in firsts if first is not None]
        if seen != sorted(seen, key=lambda one: one[0]):
            problems.append("releases were first seen in another order than they were made in")
        return problems


def redeploy_many(
    ours: Quoracy, tree: Tree, address: str, *, number: int, every: int = EVERY
) -> Many:
    """Redeploy `number` times, every tenth time a broken release; the config must be written.

    Args:
        ours: Its config must give the gate `GATE_TIMEOUT_S`; releases are made by `tree.release`.
        address: Where the pollers find the service.
    """
    faults = cycle(FAULTS)
    good, broken, outcomes = ["good-0"], {}, {}
    tree.release(good[0])
    outcomes[good[0]] = _outcome(ours)
    with Pollers(Settings(address, PORT, longest_s=120.0 * number)) as pollers:
        for count in range(1, number + 1):
            fault = next(faults) if count % every == 0 else Fault.NONE
            release = f"{'broken' if fault else 'good'}-{count}"
            if fault:
                broken[release] = fault
            else:
                good.append(release)
            tree.release(release, fault)
            outcomes[release] = _outcome(ours)
        time.sleep(1.0)
        polled = pollers.stop()
    return Many(tuple(good), broken, outcomes, polled, GATE_TIMEOUT_S)


def _outcome(ours: Quoracy) -> str:
    try:
        return ours.operate().outcome
    except RolledBack:
        return "rolled_back"


def main() -> None:
    """Run it on a host of its own and report; exit code 1 when something was not as it must be."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory(prefix="quoracy-hundred-") as name:
        directory = Path(name)
        os.environ["QUORACY_HOME"] = str(directory / "home")
        os.environ.pop("QUORACY_DATABASE_URL", None)
        lab = Lab.up(LAB, 1)
        try:
            many = _run(lab, directory, number)
        finally:
            lab.down()
    problems = many.problems()
    print("\n".join(problems) or "all as it must be")
    print(json.dumps(_figures(many, number)))
    sys.exit(1 if problems else 0)


def _run(lab: Lab, directory: Path, number: int) -> Many:
    tree = Tree(directory / "tree", FILES)
    tree.make()
    gate: dict[str, object] = {"health_check_timeout": GATE_TIMEOUT_S}
    ours = Quoracy(load_home(), directory / "project", gate)
    with reaches(lab, directory, 0.0) as found:
        ours.want(tree, found)
        return redeploy_many(ours, tree, lab.hosts[0].address, number=number)


def _figures(many: Many, number: int) -> dict[str, float]:
    rolled_back = sum(many.outcomes[release] == "rolled_back" for release in many.broken)
    return {
        "redeployments": number,
        "broken": len(many.broken),
        "rolled_back": rolled_back,
        "requests": many.polled.requests,
        "failed_requests": many.polled.failed,
        "mixed_answers": len(many.polled.mixed()),
        "longest_exposed_s": round(many.longest_exposed_s, 3),
        "gate_timeout_s": many.gate_timeout_s,
    }


if __name__ == "__main__":
    main()
