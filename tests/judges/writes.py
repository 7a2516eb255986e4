"""What a writer noted of its writes, and the figures that follow from it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Write:
    """One write of a unique key; times are seconds of one monotonic clock.

    Attributes:
        number: Its place in the schedule; key and value are made of it.
        due: When the schedule wanted it. Waiting counts from here, so that a write which could not
            even be tried, as all threads were stalled, is not left out of the figures.
        acknowledged: When a member reported success; None when none did.
        tries: How many requests it took.
    """

    number: int
    due: float
    acknowledged: float | None
    tries: int


@dataclass(frozen=True, slots=True)
class WriterReport:
    """The writes from the first to the last.

    Attributes:
        prefix: What all keys begin with.
        writes: By number.
        ended: When the writer stopped, on the same clock.
    """

    prefix: str
    writes: tuple[Write, ...]
    ended: float

    @property
    def acknowledged(self) -> int:
        """Writes that a member reported as done."""
        return sum(write.acknowledged is not None for write in self.writes)

    @property
    def failed(self) -> int:
        """Writes that were given up; whether they took effect is not known."""
        return len(self.writes) - self.acknowledged

    @property
    def retries(self) -> int:
        """Requests beyond the first of each write."""
        return sum(max(0, write.tries - 1) for write in self.writes)

    @property
    def longest_stall_s(self) -> float:
        """The longest that any write waited, from when it was due, retries included."""
        return max((self._end(write) - write.due for write in self.writes), default=0.0)

    @property
    def longest_silence_s(self) -> float:
        """The longest time without an acknowledgement in which a write was waiting for one."""
        return longest_silence(self.writes, self.ended)

    def lost(self, found: Mapping[str, str]) -> tuple[str, ...]:
        """Keys that were acknowledged and are not among what was found, or hold something else."""
        wanted = [write.number for write in self.writes if write.acknowledged is not None]
        return tuple(
            key_of(self.prefix, number)
            for number in wanted
            if found.get(key_of(self.prefix, number)) != str(number)
        )

    def _end(self, write: Write) -> float:
        return self.ended if write.acknowledged is None else write.acknowledged


def longest_silence(writes: Sequence[Write], ended: float) -> float:
    """The longest time without an acknowledgement in which a write was waiting for one."""
    by_end = sorted(
        (ended if write.acknowledged is None else write.acknowledged, write.due) for write in writes
    )
    waiting_since, longest = float("inf"), 0.0
    # From the last to the first: what is acknowledged later has been waiting since its due time.
    for (before, _), (end, due) in reversed(list(pairwise([(float("-inf"), 0.0), *by_end]))):
        waiting_since = min(waiting_since, due)
        longest = max(longest, end - max(before, waiting_since))
    return longest


def key_of(prefix: str, number: int) -> str:
    """The key of a write; keys sort by number."""
    return f"{prefix}{number:08d}"
