"""The process of a writer: it writes on a schedule until its standard input ends.

First line of standard input: the settings as JSON. It answers with a line after the first
acknowledged write, and with its notes as JSON when it ends.
"""

from __future__ import annotations

import json
import ssl
import sys
import threading
import time
from dataclasses import asdict, dataclass, field

from tests.judges.gateway import ClientFiles, Gateway, NotAnswered
from tests.judges.writes import Write, key_of

#: One stalled request must not hold up the schedule; at 100 a second this covers 160 ms of them.
THREADS = 16
#: Seconds between tries, so that three members that refuse at once are not hammered.
_PAUSE = 0.02


@dataclass(frozen=True, slots=True)
class Settings:
    """What a writer writes, where and how fast.

    Attributes:
        rate: Writes per second over all endpoints.
        request_timeout_s: Seconds for one request; the write is then tried at another endpoint.
        give_up_s: Seconds after which a write has failed.
        longest_s: Seconds after which the writer stops by itself.
    """

    prefix: str
    endpoints: tuple[str, ...]
    ca: str
    cert: str
    key: str
    rate: float
    request_timeout_s: float = 1.0
    give_up_s: float = 30.0
    longest_s: float = 900.0


@dataclass(slots=True)
class Schedule:
    """Hands out the next write when it is due, and takes notes."""

    rate: float
    began: float = field(default_factory=time.monotonic)
    stopped: threading.Event = field(default_factory=threading.Event)
    written: threading.Event = field(default_factory=threading.Event)
    writes: list[Write] = field(default_factory=list)
    _next: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> tuple[int, float] | None:
        """Wait for the next write and return its number and due time; None when stopped."""
        with self._lock:
            number = self._next
            self._next += 1
        due = self.began + number / self.rate
        if self.stopped.wait(max(0.0, due - time.monotonic())):
            return None
        return number, due

    def note(self, write: Write) -> None:
        """Remember what became of a write."""
        self.writes.append(write)
        if write.acknowledged is not None:
            self.written.set()


def write_on(settings: Settings, schedule: Schedule, context: ssl.SSLContext) -> None:
    """Take writes from the schedule until it is stopped; one thread's work."""
    gateways = [
        Gateway(endpoint, context, settings.request_timeout_s) for endpoint in settings.endpoints
    ]
    while (taken := schedule.take()) is not None:
        number, due = taken
        schedule.note(_write(settings, gateways, number, due))
    for gateway in gateways:
        gateway.close()


def _write(settings: Settings, gateways: list[Gateway], number: int, due: float) -> Write:
    """Write one key, at one endpoint after the other; the same key twice is the same write."""
    tries = 0
    while time.monotonic() < due + settings.give_up_s:
        gateway = gateways[(number + tries) % len(gateways)]
        tries += 1
        try:
            gateway.put(key_of(settings.prefix, number), str(number))
        except NotAnswered:
            # After the stop as well, what is under way is tried to its end: it was due before.
            time.sleep(_PAUSE)
            continue
        return Write(number, due, time.monotonic(), tries)
    return Write(number, due, None, tries)


def main() -> None:
    """Write until standard input ends or the longest time is over."""
    settings = Settings(**json.loads(sys.stdin.readline()))
    context = ClientFiles(settings.ca, settings.cert, settings.key).context()
    schedule = Schedule(settings.rate)
    threads = [
        threading.Thread(target=write_on, args=(settings, schedule, context))
        for _ in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    threading.Thread(target=_say_when_written, args=(schedule,), daemon=True).start()
    threading.Thread(target=_stop_with_input, args=(schedule,), daemon=True).start()
    schedule.stopped.wait(settings.longest_s)
    schedule.stopped.set()
    for thread in threads:
        thread.join()
    writes = sorted(schedule.writes, key=lambda write: write.number)
    notes = {"ended": time.monotonic(), "writes": [asdict(write) for write in writes]}
    sys.stdout.write(json.dumps(notes))


def _say_when_written(schedule: Schedule) -> None:
    schedule.written.wait()
    sys.stdout.write("writing\n")
    sys.stdout.flush()


def _stop_with_input(schedule: Schedule) -> None:
    """The input ends when it is closed, and when the process that started this one has died."""
    sys.stdin.read()
    schedule.stopped.set()


if __name__ == "__main__":
    main()
