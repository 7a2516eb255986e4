"""The process of one poller: a fresh connection every few milliseconds until its standard input ends.

First line of standard input: the settings as JSON. It answers with a line after the first answer 2xx,
and with its stretches as JSON when it ends.
"""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
import time
from dataclasses import asdict, dataclass, field

#: A poller that has noted so many stretches stops: its memory stays bounded.
MOST_STRETCHES = 50_000
_MAX_ANSWER = 64 * 1024
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


@dataclass(frozen=True, slots=True)
class Settings:
    """What is asked, and how often.

    Attributes:
        interval_s: Seconds from one connection to the next.
        timeout_s: Seconds for one request.
        longest_s: Seconds after which the poller stops by itself.
        release: Pattern whose group is the release that the code names in the body.
        asset: Pattern whose group is the release that an asset names in the body.
        identity: Pattern whose group is what the process was given as its release's ID.
    """

    address: str
    port: int
    path: str = "/"
    interval_s: float = 0.005
    timeout_s: float = 5.0
    longest_s: float = 1800.0
    release: str = r"release=(\S+)"
    asset: str = r"asset=(\S+)"
    identity: str = r"id=(\S+)"


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one request.

    Attributes:
        status: 0 when nobody answered; `problem` says why then.
        release: "" when the body names none; `asset` and `identity` likewise.
    """

    status: int
    release: str = ""
    asset: str = ""
    identity: str = ""
    problem: str = ""


@dataclass(slots=True)
class Stretch:
    """Answers in a row that were the same; times by the machine's monotonic clock, in seconds.

    Attributes:
        began: When the first connection was begun.
        answered: When the first answer was complete.
        ended: When the last answer was complete.
        slowest_s: The longest that one of them took.
    """

    began: float
    answered: float
    ended: float
    count: int
    slowest_s: float
    status: int
    release: str
    asset: str
    identity: str
    problem: str

    @property
    def answer(self) -> Answer:
        """What each of them was."""
        return Answer(self.status, self.release, self.asset, self.identity, self.problem)

    @property
    def good(self) -> bool:
        """Whether the service answered 2xx."""
        return 200 <= self.status < 300


@dataclass(slots=True)
class Notes:
    """What a poller has seen, bounded."""

    stretches: list[Stretch] = field(default_factory=list)

    @property
    def full(self) -> bool:
        """Whether nothing more may be noted."""
        return len(self.stretches) >= MOST_STRETCHES

    def add(self, began: float, ended: float, answer: Answer) -> None:
        """Lengthen the last stretch, or begin another one."""
        last = self.stretches[-1] if self.stretches else None
        if last is not None and last.answer == answer:
            last.ended, last.count = ended, last.count + 1
            last.slowest_s = max(last.slowest_s, ended - began)
        else:
            told = asdict(answer)
            self.stretches.append(Stretch(began, ended, ended, 1, ended - began, **told))


@dataclass(slots=True)
class Poller:
    """Asks on a schedule; what falls behind is left out, never made up for."""

    settings: Settings
    notes: Notes = field(default_factory=Notes)
    stopped: threading.Event = field(default_factory=threading.Event)

    def poll(self) -> None:
        """Ask until stopped, or until the longest time is over."""
        until = time.monotonic() + self.settings.longest_s
        said = False
        while not (self.stopped.is_set() or self.notes.full) and time.monotonic() < until:
            began = time.monotonic()
            answer = ask(self.settings)
            self.notes.add(began, time.monotonic(), answer)
            if not said and self.notes.stretches[-1].good:
                said = True
                sys.stdout.write("polling\n")
                sys.stdout.flush()
            self.stopped.wait(max(0.0, began + self.settings.interval_s - time.monotonic()))


def ask(settings: Settings) -> Answer:
    """One request over a connection of its own."""
    place = (settings.address, settings.port)
    request = (
        f"GET {settings.path} HTTP/1.1\r\nHost: {settings.address}\r\nConnection: close\r\n\r\n"
    )
    try:
        with socket.create_connection(place, timeout=settings.timeout_s) as connection:
            connection.sendall(request.encode())
            return _parse(_read_all(connection), settings)
    except OSError as error:
        return Answer(0, problem=error.strerror or type(error).__name__)


def _read_all(connection: socket.socket) -> bytes:
    parts: list[bytes] = []
    while sum(map(len, parts)) < _MAX_ANSWER and (part := connection.recv(_MAX_ANSWER)):
        parts.append(part)
    return b"".join(parts)


def _parse(answer: bytes, settings: Settings) -> Answer:
    head, end, body = answer.partition(b"\r\n\r\n")
    status = _STATUS.match(head)
    if status is None or not end:
        return Answer(0, problem="cut off" if answer else "closed without an answer")
    text = body.decode(errors="replace")
    patterns = (settings.release, settings.asset, settings.identity)
    return Answer(int(status[1]), *(_named(pattern, text) for pattern in patterns))


def _named(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1] if found else ""


def main() -> None:
    """Poll until standard input ends."""
    poller = Poller(Settings(**json.loads(sys.stdin.readline())))
    threading.Thread(target=_stop_with_input, args=(poller,), daemon=True).start()
    poller.poll()
    notes = {
        "full": poller.notes.full,
        "stretches": [asdict(stretch) for stretch in poller.notes.stretches],
    }
    sys.stdout.write(json.dumps(notes))


def _stop_with_input(poller: Poller) -> None:
    """The input ends when it is closed, and when the process that started this one has died."""
    sys.stdin.read()
    poller.stopped.set()


if __name__ == "__main__":
    main()
