"""What clients see while a service is redeployed: with systemd holding its port, and without."""

from __future__ import annotations

import time
from dataclasses import dataclass

from bench.poller_process import Settings
from bench.pollers import Polled, Pollers
from bench.redeploy_hosts import Reach
from bench.redeploy_ours import PORT, Quoracy
from bench.redeploy_trees import Tree

#: Seconds that are watched before the first and after the last redeployment.
AROUND_S = 1.0


@dataclass(frozen=True, slots=True)
class Downtime:
    """Redeployments in a row under pollers.

    Attributes:
        seconds: Of each redeployment, from its start to the new release's first answer.
    """

    activation: str
    redeployments: int
    polled: Polled
    seconds: tuple[float, ...]

    def __str__(self) -> str:
        """For the report."""
        polled = self.polled
        problems = sorted({one for gap in polled.gaps() for one in gap.problems})
        gaps = len(list(polled.gaps()))
        return (
            f"{self.redeployments} redeployments, activation {self.activation}: {polled.requests} requests,"
            f" {polled.failed} failed ({', '.join(problems) or 'none'}) in {gaps} gaps,"
            f" longest gap {polled.longest_gap_s:.3f} s, slowest answer {polled.slowest_s:.3f} s,"
            f" {len(polled.mixed())} answers of two releases; first answer of the new release"
            f" {min(self.seconds):.2f} to {max(self.seconds):.2f} s after the start"
        )


def watch_redeployments(
    ours: Quoracy, tree: Tree, reach: Reach, address: str, *, activation: str, times: int
) -> Downtime:
    """Redeploy several times under pollers; each redeployment is a new release.

    Raises:
        RuntimeError: A new release was never seen by them.
    """
    ours.redeploy["activation"] = activation
    ours.want(tree, (reach,))
    tree.release(f"{activation}-0")
    # The way from one kind of activation to the other is not what is measured.
    ours.operate()
    starts: dict[str, float] = {}
    with Pollers(Settings(address, PORT)) as pollers:
        time.sleep(AROUND_S)
        for number in range(1, times + 1):
            release = f"{activation}-{number}"
            tree.release(release)
            starts[release] = time.monotonic()
            ours.operate()
        time.sleep(AROUND_S)
        polled = pollers.stop()
    seconds = tuple(_seen(polled, release) - began for release, began in starts.items())
    return Downtime(activation, times, polled, seconds)


def _seen(polled: Polled, release: str) -> float:
    first = polled.first_answer(release)
    if first is None:
        raise RuntimeError(f"no poller has seen release {release}")
    return first
