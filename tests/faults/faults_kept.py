"""What a sweep has found, case by case in a file: one that was cut off goes on where it was."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.faults_cases import UnderResult
from tests.faults.faults_kills import KillResult

Result = KillResult | UnderResult


@dataclass(slots=True)
class Kept:
    """The results of all runs that named the same file; without a file, of this run.

    A case that was not as it must be is forgotten when it is run again.

    Attributes:
        calls: How many changing calls each operation had.
        minutes: What all the runs took.
    """

    path: Path | None
    results: list[Result] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)
    minutes: float = 0.0
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Read what earlier runs have left."""
        if self.path is not None and self.path.exists():
            for one in _records(self.path):
                self._take(one)

    def add(self, one: Result | tuple[str, int] | float) -> None:
        """Keep a result, an operation's number of calls, or the minutes of a run."""
        with self._one_at_a_time:
            self._take(one)
            if self.path is not None:
                with self.path.open("ab") as file:
                    pickle.dump(one, file)

    def _take(self, one: object) -> None:
        if isinstance(one, KillResult | UnderResult):
            self.results = [known for known in self.results if known.case != one.case]
            self.results.append(one)
        elif isinstance(one, tuple):
            self.calls[one[0]] = one[1]
        elif isinstance(one, float):
            self.minutes += one

    @property
    def good(self) -> frozenset[object]:
        """The cases that need not be run again."""
        return frozenset(one.case for one in self.results if not one.problem)

    @property
    def kills(self) -> list[KillResult]:
        """What became of the kill points."""
        return [one for one in self.results if isinstance(one, KillResult)]

    @property
    def under(self) -> list[UnderResult]:
        """What became of the faults under way."""
        return [one for one in self.results if isinstance(one, UnderResult)]


def _records(path: Path) -> Iterator[object]:
    """A record that was cut off in the middle is the last one, and lost."""
    with path.open("rb") as file:
        while True:
            try:
                yield pickle.load(file)
            except (EOFError, pickle.UnpicklingError):
                return
