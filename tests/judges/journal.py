"""What the hosts' own journals say about a member: when it was down, and who was elected. Pure.

Systemd marks its messages with IDs that do not change with version or language (systemd catalogue,
`journalctl --catalog`); only those of PID 1 count. Systemd calls a unit of Type=notify started when
etcd says so, and etcd says so after its first write through the quorum has come back to it
(etcdserver's ReadyNotify follows publish): started means healthy.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

_STARTING = "7d4958e842da4a758f6c1cdc7b36dcc5"
_STARTED = "39f53479d3a045ac8e11786248231fbf"
_STOPPING = "de5b426a63be47a7b6ac3eaac82e2f6f"
_PROCESS_EXIT = "98e322203f7a4ed290d09fe03c09fe15"
_ELECTED = re.compile(r"elected leader ([0-9a-f]+) at term (\d+)")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a unit's journal.

    Attributes:
        time_us: The host's clock, microseconds since the epoch.
        event: Systemd's ID of the message; empty for what etcd itself says.
    """

    time_us: int
    event: str
    message: str


@dataclass(frozen=True, slots=True)
class Down:
    """A member's time from stop to healthy; `healthy_us` is None when it has not come back."""

    member: str
    stopped_us: int
    healthy_us: int | None

    @property
    def seconds(self) -> float | None:
        """How long it was down; None when it has not come back."""
        return None if self.healthy_us is None else (self.healthy_us - self.stopped_us) / 1e6


@dataclass(frozen=True, slots=True)
class Election:
    """A leader and the raft term it was elected for, with the time of the first mention."""

    term: int
    leader_id: str
    time_us: int


def parse_journal(output: bytes) -> tuple[Entry, ...]:
    """The answer of `journalctl --output=json`."""
    return tuple(_entry(json.loads(line)) for line in output.splitlines() if line.strip())


def down_times(member: str, entries: Sequence[Entry]) -> tuple[Down, ...]:
    """When the member was down after its first start, in order.

    Down begins with the stop, with the end of the process when nobody asked for it, or, when the
    host went down without a word, with the last that was heard of the unit before it started anew:
    after a power cut it may be told longer than it was, never shorter.
    """
    downs: list[Down] = []
    up, stopped_us, heard_us = False, 0, 0
    for entry in entries:
        if up and entry.event in (_STOPPING, _PROCESS_EXIT, _STARTING):
            up, stopped_us = False, heard_us if entry.event == _STARTING else entry.time_us
        if entry.event == _STARTED:
            if stopped_us:
                downs.append(Down(member, stopped_us, entry.time_us))
            up, stopped_us = True, 0
        heard_us = entry.time_us
    return (*downs, Down(member, stopped_us, None)) if stopped_us else tuple(downs)


def overlaps(downs: Iterable[Down]) -> tuple[tuple[Down, Down], ...]:
    """Pairs of neighbours in time, of different members, that were down at once; () is as it must be.

    When three overlap, at least two pairs of them are neighbours, so nothing is missed.
    """
    ordered = sorted(downs, key=lambda down: down.stopped_us)
    return tuple(
        (earlier, later)
        for earlier, later in pairwise(ordered)
        if earlier.member != later.member
        and (earlier.healthy_us is None or earlier.healthy_us > later.stopped_us)
    )


def elections(journals: Iterable[Sequence[Entry]]) -> tuple[Election, ...]:
    """Terms that brought a leader, as any member told, in order; all members tell each of them.

    A member that starts tells of the leader it finds, in a term that is known: no new election.
    """
    first: dict[int, Election] = {}
    for entry in (entry for journal in journals for entry in journal):
        if entry.event or not (found := _ELECTED.search(entry.message)):
            continue
        election = Election(int(found[2]), found[1], entry.time_us)
        known = first.get(election.term)
        if known is None or election.time_us < known.time_us:
            first[election.term] = election
    return tuple(first[term] for term in sorted(first))


def _entry(fields: dict[str, object]) -> Entry:
    by_systemd = fields.get("_PID") == "1"
    return Entry(
        time_us=int(str(fields["__REALTIME_TIMESTAMP"])),
        event=str(fields.get("MESSAGE_ID", "")) if by_systemd else "",
        message=_message(fields.get("MESSAGE")),
    )


def _message(value: object) -> str:
    """Text; the journal gives bytes that are no UTF-8 as a list of numbers, and null when too long."""
    if isinstance(value, list):
        return bytes(value).decode("utf-8", "replace")
    return value if isinstance(value, str) else ""
