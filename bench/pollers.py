"""Pollers: what clients of a service see while it is redeployed, noted by processes of their own.

They share nothing with what is measured. Times are of the machine's monotonic clock, which all
processes of a machine share.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from types import TracebackType

from bench.poller_process import Settings, Stretch

POLLERS = 4
_FIRST_ANSWER_S = 30.0


@dataclass(frozen=True, slots=True)
class Gap:
    """Time in which one poller had no answer 2xx: from its first failed request to its next success.

    Attributes:
        ended: None when it still failed when it was stopped.
    """

    began: float
    ended: float | None
    failed: int
    problems: frozenset[str]

    @property
    def seconds(self) -> float:
        """Its length; endless when it never ended."""
        return float("inf") if self.ended is None else self.ended - self.began


@dataclass(frozen=True, slots=True)
class Polled:
    """What all pollers saw, each in its own order."""

    pollers: tuple[tuple[Stretch, ...], ...]

    def stretches(self) -> Iterator[Stretch]:
        """All of them, poller by poller."""
        for one in self.pollers:
            yield from one

    @property
    def requests(self) -> int:
        """How many were made."""
        return sum(stretch.count for stretch in self.stretches())

    @property
    def failed(self) -> int:
        """How many were refused, cut off, timed out, or answered other than 2xx."""
        return sum(stretch.count for stretch in self.stretches() if not stretch.good)

    @property
    def slowest_s(self) -> float:
        """The longest that a good answer took."""
        return max((one.slowest_s for one in self.stretches() if one.good), default=0.0)

    @property
    def longest_gap_s(self) -> float:
        """The longest time that a poller was without an answer 2xx; 0 when none ever failed."""
        return max((gap.seconds for gap in self.gaps()), default=0.0)

    def gaps(self) -> Iterator[Gap]:
        """Each poller's times without an answer 2xx."""
        for one in self.pollers:
            yield from _gaps(one)

    def mixed(self) -> list[Stretch]:
        """Answers of two releases at once: code, asset and the process's own ID do not fit."""
        named: dict[str, set[str]] = defaultdict(set)
        for one in self.stretches():
            named[one.identity].add(one.release)
        return [
            one
            for one in self.stretches()
            if one.status
            and (one.release != one.asset or (one.identity and len(named[one.identity]) > 1))
        ]

    def first_answer(self, release: str) -> float | None:
        """When code of a release first answered, whatever the status."""
        answered = (one.answered for one in self.stretches() if one.release == release)
        return min(answered, default=None)

    def exposed_s(self, release: str) -> float:
        """From the first to the last answer that names a release, code or asset; 0 without one."""
        seen = [one for one in self.stretches() if release in (one.release, one.asset)]
        if not seen:
            return 0.0
        return max(one.ended for one in seen) - min(one.answered for one in seen)


def _gaps(stretches: tuple[Stretch, ...]) -> Iterator[Gap]:
    bad: list[Stretch] = []
    for stretch in stretches:
        if not stretch.good:
            bad.append(stretch)
        elif bad:
            yield _gap(bad, stretch.answered)
            bad = []
    if bad:
        yield _gap(bad, None)


def _gap(bad: list[Stretch], ended: float | None) -> Gap:
    problems = frozenset(one.problem or f"status {one.status}" for one in bad)
    return Gap(bad[0].began, ended, sum(one.count for one in bad), problems)


class Pollers:
    """Several pollers, from `start` to `stop`; as a context manager they never outlive its block.

    Args:
        settings: What each of them asks.
        number: How many.
    """

    def __init__(self, settings: Settings, number: int = POLLERS) -> None:
        self._settings = settings
        self._number = number
        self._processes: list[subprocess.Popen[str]] = []

    def start(self) -> Pollers:
        """Start them and return once each had an answer 2xx.

        Raises:
            RuntimeError: One had none within 30 s.
        """
        for _ in range(self._number):
            process = subprocess.Popen(
                (sys.executable, "-m", "bench.poller_process"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            self._processes.append(process)
            assert process.stdin is not None
            process.stdin.write(json.dumps(asdict(self._settings)) + "\n")
            process.stdin.flush()
        for process in self._processes:
            _await_first_answer(process, self._settings)
        return self

    def stop(self) -> Polled:
        """Stop them and return what they saw.

        Raises:
            RuntimeError: One died, or stopped by itself as it could note no more.
        """
        # A poller that is not done with its input would wait for the others to be read.
        outputs = [process.communicate() for process in self._ending()]
        notes = [json.loads(output) for output, _ in outputs]
        if any(one["full"] for one in notes):
            raise RuntimeError("a poller saw more changes than it may note; it did not see the end")
        return Polled(
            tuple(tuple(Stretch(**stretch) for stretch in one["stretches"]) for one in notes)
        )

    def _ending(self) -> list[subprocess.Popen[str]]:
        ending, self._processes = self._processes, []
        for process in ending:
            assert process.stdin is not None
            process.stdin.close()
            process.stdin = None
        return ending

    def __enter__(self) -> Pollers:
        """Start them.

        Raises:
            RuntimeError: One had no answer; none is left running.
        """
        try:
            return self.start()
        except BaseException:
            self._kill()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._kill()

    def _kill(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()
        self._processes = []


def _await_first_answer(process: subprocess.Popen[str], settings: Settings) -> None:
    assert process.stdout is not None
    too_late = threading.Timer(_FIRST_ANSWER_S, process.kill)
    too_late.start()
    try:
        if process.stdout.readline() != "polling\n":
            place = f"{settings.address}:{settings.port}{settings.path}"
            raise RuntimeError(f"{place} did not answer 2xx within {_FIRST_ANSWER_S:g} s")
    finally:
        too_late.cancel()
