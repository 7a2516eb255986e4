"""A tap on the controller's changing calls: count them, trace them, die at one, hold one open.

A changing call is a script that presents itself to the host's guard (`quoracy/operation/guard.py`): it
takes the cluster's lock there, and notes who has acted. Calls are told apart by host, purpose and occurrence, as hosts are
worked on side by side in any order.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from quoracy.errors import QuoracyError
from quoracy.hosts.host import Host, HttpAnswer, Result
from quoracy.hosts.limits import ANSWER_BYTES
from quoracy.operation.guard import Guard, guarded, state_dir

When = Literal["before", "middle", "after"]
#: On the practice host; its root file system is also mounted on this machine.
TRACES = "var/lib/quoracy-faults"
_COMMAND, _END = b"q+ ", b"q-end"
_POLL_S = 0.0003
_VARIES = re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b|\b\d+\.\d+\.\d+\b")


@dataclass(frozen=True, slots=True)
class Call:
    """One changing call of an operation.

    Attributes:
        what: Its purpose, without digests and versions, which differ from run to run.
        occurrence: Which of the calls of that host and purpose, from 0.
    """

    host: str
    what: str
    occurrence: int


@dataclass(frozen=True, slots=True)
class Point:
    """Where the controller is to die.

    Attributes:
        commands: For `middle`: how many commands of the script have begun then.
        with_host: Whether the host stops in the same moment, as when both lose their power.
    """

    call: Call
    when: When
    commands: int = 0
    with_host: bool = False


@dataclass(frozen=True, slots=True)
class Recorded:
    """A call as it was seen: how long it took, and how many commands its script ran."""

    call: Call
    seconds: float
    commands: int


def purpose(what: str) -> str:
    """A call's purpose without what differs from run to run."""
    return _VARIES.sub("*", what)


def is_changing(script: str, cluster: str) -> bool:
    """Whether a script notes itself as the last one on the host, as every changing one must."""
    return f"> {shlex.quote(f'{state_dir(cluster)}/fence')}.new" in script


def traced(script: str, name: str) -> str:
    """The script, with a line in a file of the host for each command that begins, and for its end."""
    begin = f"mkdir -p /{TRACES}; exec 2>/{TRACES}/{name}; PS4='q+ '; ( set -x"
    return f"{begin}\n{script}\n); ended=$?; echo q-end >&2; exit $ended\n"


def held(script: str, name: str) -> str:
    """The script, waiting between its guard and its own first command while the mark is there.

    The mark is taken away to let it go on: that works on a full disk, too.

    Raises:
        QuoracyError: The guard is not the one that the product has now.
    """
    mark = f"/{TRACES}/{name}.mark"
    wait = f": > {mark}\nwhile [ -e {mark} ]; do sleep 0.01; done\n"
    last = guarded(Guard("any", "any", 0), "").rstrip().rpartition("\n")[2]
    guard, found, body = script.partition(f"{last}\n")
    if not found:
        raise QuoracyError(f"the script does not hold the guard's last line: {last}")
    return f"mkdir -p /{TRACES}\n{guard}{found}{wait}{body}"


class Tap:
    """Sits between an operation and its hosts.

    Args:
        cluster: The cluster's name.
        roots: Root file system of each host, as it is mounted on this machine.
        tell: Sends a message to the process that watches.
        point: Where to die.
        record: Whether to trace every call.
    """

    def __init__(
        self,
        cluster: str,
        roots: dict[str, str],
        tell: Callable[[tuple[object, ...]], None],
        *,
        point: Point | None = None,
        record: bool = False,
    ) -> None:
        self.cluster, self.point, self.record = cluster, point, record
        self.recorded: list[Recorded] = []
        self.hold_next: int | None = None  # a thread: the heartbeat's calls are not meant
        self.freeze: Callable[[str], None] = lambda _: None
        self._roots, self._tell = roots, tell
        self._seen: dict[tuple[str, str], int] = {}
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def next_call(self, host: str, what: str) -> Call:
        """Name a call that is about to be made."""
        key = (host, purpose(what))
        with self._lock:
            occurrence = self._seen.get(key, 0)
            self._seen[key] = occurrence + 1
        return Call(*key, occurrence)

    @contextmanager
    def around(self, host: str, what: str, script: str) -> Iterator[str]:
        """Carry one call, whose script is given to the block as it is to be run."""
        call = self.next_call(host, what)
        name = f"{os.getpid()}-{next(self._numbers)}"
        trace = Path(self._roots[host]) / TRACES / name
        mine = self.point is not None and _same(self.point.call, call)
        if mine and self.point is not None:
            self._before(self.point, trace)
            if self.point.when == "middle":
                script = traced(script, name)
        elif self.record:
            script = traced(script, name)
        elif self.hold_next == threading.get_ident():
            self.hold_next = None
            script = held(script, name)
            threading.Thread(target=self._tell_reached, args=(host, trace), daemon=True).start()
        began = time.monotonic()
        try:
            yield script
        finally:
            if mine and self.point is not None:
                self.die("after" if self.point.when == "after" else "late")
            if self.record:
                commands = _read(trace).count(_COMMAND)
                self.recorded.append(Recorded(call, time.monotonic() - began, commands))

    def die(self, where: str) -> None:
        """End at once, as by a power cut; the last word says where."""
        self._tell(("died", where))
        os.kill(os.getpid(), signal.SIGKILL)

    def _before(self, point: Point, trace: Path) -> None:
        if point.when == "before":
            self.die("before")
        if point.when == "middle":
            threading.Thread(target=self._die_at, args=(point, trace), daemon=True).start()

    def _die_at(self, point: Point, trace: Path) -> None:
        """Die once so many commands have begun, unless the script has ended by then."""
        while True:
            seen = _read(trace)
            if _END in seen:
                return  # the call dies as it comes back, and says that it was late
            if seen.count(_COMMAND) >= point.commands:
                if point.with_host:
                    self.freeze(point.call.host)
                self.die("middle" if _END not in _read(trace) else "late")
            time.sleep(_POLL_S)

    def _tell_reached(self, host: str, trace: Path) -> None:
        mark = trace.with_name(f"{trace.name}.mark")
        while not mark.exists():
            time.sleep(_POLL_S)
        self._tell(("reached", host, str(mark)))


class TappedHost:
    """A host as the product sees it, with the tap in its line."""

    def __init__(self, inner: Host, tap: Tap) -> None:
        self.name = inner.name
        self._inner, self._tap = inner, tap

    def run(self, script: str, *, what: str, timeout: float = 30.0, check: bool = True) -> Result:
        """Run a script; see `Host.run`."""
        if not is_changing(script, self._tap.cluster):
            return self._inner.run(script, what=what, timeout=timeout, check=check)
        with self._tap.around(self.name, what, script) as prepared:
            return self._inner.run(prepared, what=what, timeout=timeout, check=check)

    def send(
        self, script: str, chunks: Iterable[bytes], *, what: str, timeout: float = 600.0
    ) -> Result:
        """Run a script that reads the chunks; see `Host.send`."""
        if not is_changing(script, self._tap.cluster):
            return self._inner.send(script, chunks, what=what, timeout=timeout)
        with self._tap.around(self.name, what, script) as prepared:
            return self._inner.send(prepared, chunks, what=what, timeout=timeout)

    def receive(
        self, script: str, *, what: str, timeout: float = 600.0, limit: int = ANSWER_BYTES
    ) -> Iterator[bytes]:
        """Yield the script's output; see `Host.receive`."""
        return self._inner.receive(script, what=what, timeout=timeout, limit=limit)

    def http_get(
        self,
        port: int,
        path: str,
        *,
        timeout: float = 5.0,
        address: str = "127.0.0.1",
        virtual_host: str = "",
    ) -> HttpAnswer:
        """Ask a server there; see `Host.http_get`."""
        return self._inner.http_get(
            port, path, timeout=timeout, address=address, virtual_host=virtual_host
        )

    def require_forwarding(
        self, port: int, *, timeout: float = 5.0, address: str = "127.0.0.1"
    ) -> None:
        """Return when its sshd forwards; see `Host.require_forwarding`."""
        self._inner.require_forwarding(port, timeout=timeout, address=address)

    def close(self) -> None:
        """Close the connection."""
        self._inner.close()


def _same(wanted: Call, call: Call) -> bool:
    """A wanted host of "" is any: the snapshot is taken wherever a healthy follower is."""
    same = (wanted.what, wanted.occurrence) == (call.what, call.occurrence)
    return same and wanted.host in ("", call.host)


def _read(trace: Path) -> bytes:
    try:
        return trace.read_bytes()
    except OSError:
        return b""  # not there yet
