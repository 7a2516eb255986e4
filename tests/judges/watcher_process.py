"""The process of a watcher: it polls every member on a thread of its own until its input ends.

First line of standard input: the settings as JSON. It answers with a line once every member has
answered, and with what it saw as JSON when it ends.
"""

from __future__ import annotations

import json
import ssl
import sys
import threading
import time
from dataclasses import asdict, dataclass

from tests.judges.availability import MemberLog, joined
from tests.judges.gateway import ClientFiles, Gateway, NotAnswered

#: Any key will do: what counts is that the member answers.
_KEY = "AA=="


@dataclass(frozen=True, slots=True)
class Settings:
    """What a watcher polls, and how often.

    Attributes:
        members: Client URL of each member, by name.
        every_s: Seconds from the start of one poll to the start of the next.
        timeout_s: Seconds after which a poll has failed, connecting and handshake included.
        longest_s: Seconds after which the watcher stops by itself.
    """

    members: dict[str, str]
    ca: str
    cert: str
    key: str
    every_s: float = 0.1
    timeout_s: float = 1.0
    longest_s: float = 1800.0


def poll(gateway: Gateway, log: MemberLog) -> None:
    """Ask a member for what it can tell alone: a serializable read, and its status."""
    try:
        gateway.post("/v3/kv/range", {"key": _KEY, "serializable": True, "limit": 1})
        status = gateway.post("/v3/maintenance/status", {})
    except NotAnswered:
        log.failed()
        return
    # Zero values are left out: no leader.
    log.served(time.monotonic(), int(status.get("raftTerm", 0)), str(status.get("leader", "0")))


def watch(
    endpoint: str,
    settings: Settings,
    context: ssl.SSLContext,
    log: MemberLog,
    stopped: threading.Event,
) -> None:
    """Poll one member until stopped; one thread's work."""
    gateway = Gateway(endpoint, context, settings.timeout_s)
    while not stopped.is_set():
        began = time.monotonic()
        poll(gateway, log)
        stopped.wait(max(0.0, began + settings.every_s - time.monotonic()))
    gateway.close()


def main() -> None:
    """Watch until standard input ends or the longest time is over."""
    settings = Settings(**json.loads(sys.stdin.readline()))
    context = ClientFiles(settings.ca, settings.cert, settings.key).context()
    stopped = threading.Event()
    logs = {name: MemberLog() for name in settings.members}
    threads = [
        threading.Thread(target=watch, args=(url, settings, context, logs[name], stopped))
        for name, url in settings.members.items()
    ]
    for thread in threads:
        thread.start()
    threading.Thread(target=_stop_with_input, args=(stopped,), daemon=True).start()
    threading.Thread(target=_say_when_answered, args=(logs, stopped), daemon=True).start()
    stopped.wait(settings.longest_s)
    stopped.set()
    for thread in threads:
        thread.join()
    sys.stdout.write(json.dumps(asdict(joined(logs, time.monotonic()))))


def _say_when_answered(logs: dict[str, MemberLog], stopped: threading.Event) -> None:
    while any(log.answered is None for log in logs.values()):
        if stopped.wait(0.01):
            return
    sys.stdout.write("watching\n")
    sys.stdout.flush()


def _stop_with_input(stopped: threading.Event) -> None:
    """The input ends when it is closed, and when the process that started this one has died."""
    sys.stdin.read()
    stopped.set()


if __name__ == "__main__":
    main()
