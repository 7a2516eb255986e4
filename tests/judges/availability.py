"""When members answered and when they did not, and what follows for the quorum. Pure.

A member *serves* when its process accepts a TLS connection with our client certificate and answers a
serializable read and a status request, both of which it does alone. It is *down* from its last answer
before a poll that failed to its first answer after it: a time that is too long by up to one poll at
each end, never too short. A slow answer is no failure. *Below quorum* are the times in which fewer
voters than the quorum were not down. An election takes no member down: while there is no leader writes
wait, which the writer measures as a stall.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Interval:
    """A span of one monotonic clock, in seconds."""

    began: float
    ended: float

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.ended - self.began


@dataclass(slots=True)
class MemberLog:
    """The polls of one member, kept as the intervals in which it was down."""

    answered: float | None = None
    failing: bool = False
    downs: list[tuple[float, float]] = field(default_factory=list)
    leaders: dict[int, str] = field(default_factory=dict)
    polls: int = 0

    def served(self, ended: float, term: int, leader: str) -> None:
        """Note a poll that brought both answers; `leader` is "0" while the member knows none."""
        self.polls += 1
        if self.failing and self.answered is not None:
            self.downs.append((self.answered, ended))
        self.answered, self.failing = ended, False
        if leader != "0":
            self.leaders.setdefault(term, leader)

    def failed(self) -> None:
        """Note a poll that failed; how long the member was down shows with its next answer."""
        self.polls += 1
        self.failing = True

    def closed(self, now: float) -> list[tuple[float, float]]:
        """All intervals, the one included that has not ended."""
        last = [(self.answered, now)] if self.failing and self.answered is not None else []
        return [*self.downs, *last]


@dataclass(frozen=True, slots=True)
class Availability:
    """What a watcher saw from its start to its end.

    Attributes:
        downs: Intervals in which each member was down, by member.
        terms: Raft terms that had a leader, and which one, as any member told.
        polls: Polls of each member.
    """

    downs: Mapping[str, tuple[Interval, ...]]
    terms: Mapping[int, str]
    polls: Mapping[str, int]

    @property
    def quorum(self) -> int:
        """Voters that must serve."""
        return len(self.downs) // 2 + 1

    @property
    def below_quorum(self) -> tuple[Interval, ...]:
        """Intervals in which fewer voters than the quorum were serving; () is as it must be."""
        return overlapping(self.downs.values(), len(self.downs) - self.quorum + 1)

    @property
    def leader_changes(self) -> int:
        """Terms with a leader after the one it began with."""
        return max(0, len(self.terms) - 1)


def overlapping(downs: Iterable[Sequence[Interval]], least: int) -> tuple[Interval, ...]:
    """Intervals in which at least so many of the members were down at once."""
    # An end sorts before a start of the same time: touching intervals do not overlap.
    events = sorted(
        event
        for intervals in downs
        for one in intervals
        for event in ((one.began, 1), (one.ended, -1))
    )
    found: list[Interval] = []
    count, since = 0, 0.0
    for time_s, change in events:
        if count < least <= count + change:
            since = time_s
        if count + change < least <= count and time_s > since:
            found.append(Interval(since, time_s))
        count += change
    return tuple(found)


def joined(logs: Mapping[str, MemberLog], now: float) -> Availability:
    """What all members' logs say together."""
    terms: dict[int, str] = {}
    for log in logs.values():
        terms |= log.leaders
    return Availability(
        {name: tuple(Interval(*d) for d in log.closed(now)) for name, log in logs.items()},
        dict(sorted(terms.items())),
        {name: log.polls for name, log in logs.items()},
    )
