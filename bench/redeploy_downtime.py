"""What clients see while a service is redeployed: by Quoracy, with and without a held port, and by rsync."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.poller_process import Settings
from bench.pollers import Polled, Pollers

#: Seconds that are watched before the first and after each redeployment.
AROUND_S = 1.0
#: Brings the release of a name.
Bring = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Downtime:
    """Redeployments in a row under pollers.

    Attributes:
        how: What redeployed, for the report.
        seconds: Of each redeployment, from its start to the new release's first answer.
    """

    how: str
    polled: Polled
    seconds: tuple[float, ...]

    def __str__(self) -> str:
        """For the report."""
        polled, gaps = self.polled, list(self.polled.gaps())
        problems = ", ".join(sorted({one for gap in gaps for one in gap.problems})) or "none"
        mixed = sum(one.count for one in polled.mixed())
        return (
            f"{self.how}: {len(self.seconds)} redeployments, {polled.requests} requests,"
            f" {polled.failed} failed ({problems}), longest gap {polled.longest_gap_s:.3f} s,"
            f" slowest answer {polled.slowest_s:.3f} s, {mixed} answers of two releases at once;"
            f" first answer of the new release {min(self.seconds):.2f} to {max(self.seconds):.2f} s"
            " after the start"
        )


def watch(how: str, bring: Bring, settings: Settings, *, times: int) -> Downtime:
    """Redeploy several times under pollers; each redeployment is a release of its own.

    Raises:
        RuntimeError: A new release was never seen by them.
    """
    # The way from one kind of activation to the other is not what is measured.
    bring("before")
    starts: dict[str, float] = {}
    with Pollers(settings) as pollers:
        time.sleep(AROUND_S)
        for number in range(times):
            starts[f"watched-{number}"] = time.monotonic()
            bring(f"watched-{number}")
            # Not everybody waits until the release answers, and the next one would end it before.
            time.sleep(AROUND_S)
        polled = pollers.stop()
    seconds = tuple(_seen(polled, release) - began for release, began in starts.items())
    return Downtime(how, polled, seconds)


def _seen(polled: Polled, release: str) -> float:
    first = polled.first_answer(release)
    if first is None:
        raise RuntimeError(f"no poller has seen release {release}")
    return first
