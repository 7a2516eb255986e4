"""Controllers that may be killed: each deploy is a process of its own, forked from one that has no threads.

A kill is a real SIGKILL: no `finally` runs, no lease is released, no row is written. What is left
is the database and the file of the simulated hosts, as the disks of a controller and of hosts would be.
Forked and not started anew, because importing everything takes a second each time.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.site import SimulatedSite

TESTS = Path(__file__).parents[1]


class Controllers:
    """Forks a controller for each deploy that is asked for."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            (sys.executable, "-m", "simulator.controllers"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS.parent}"},
        )

    def deploy(self, site: SimulatedSite, kill: dict[str, str]) -> tuple[int, str]:
        """Deploy in a process of its own.

        Args:
            kill: step, host and "before" or "after"; empty when it is to end by itself.

        Returns:
            Its exit status (-9 when it was killed), and what it said: its steps, and how it ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        given = {
            "place": str(site.place),
            "name": site.name,
            "hosts": site.hosts,
            "version": site.version,
            "world": str(site.world),
            "archives": str(site.archives),
        }
        self._process.stdin.write(json.dumps({"site": given, "kill": kill}) + "\n")
        self._process.stdin.flush()
        told = json.loads(self._process.stdout.readline())
        return told["status"], told["said"]

    def close(self) -> None:
        """End the process that forks."""
        self._process.communicate(timeout=10)


@functools.cache
def controllers() -> Controllers:
    """The one of this session."""
    started = Controllers()
    atexit.register(started.close)
    return started


def main() -> None:
    """Fork a controller for every line of standard input, and tell how it ended."""
    import simulator.site  # noqa: F401  what a deploy imports, also late: children have it then

    for line in sys.stdin:
        status, said = _forked(json.loads(line))
        sys.stdout.write(json.dumps({"status": status, "said": said}) + "\n")
        sys.stdout.flush()


def _forked(given: dict[str, Any]) -> tuple[int, str]:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        _controller(given, write)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


def _controller(given: dict[str, Any], write: int) -> None:
    """The life of one controller; never returns."""
    try:
        _deploy(given, write)
    except BaseException as error:  # noqa: BLE001  whatever it is, the one who asked must hear of it
        os.write(write, f"defect: {error!r}\n".encode())
        os._exit(1)
    os._exit(0)


def _deploy(given: dict[str, Any], write: int) -> None:
    from quoracy.errors import QuoracyError
    from simulator.site import SimulatedSite

    known, kill = given["site"], given["kill"]
    site = SimulatedSite(
        place=Path(known["place"]),
        name=known["name"],
        hosts=tuple(known["hosts"]),
        version=known["version"],
        world=Path(known["world"]),
        archives=Path(known["archives"]),
    )

    def say(line: str) -> None:
        os.write(write, f"{line}\n".encode())

    def chosen(step: Any, when: str) -> bool:
        return (step.name, step.host, when) == (
            kill.get("step"),
            kill.get("host"),
            kill.get("when"),
        )

    def told(step: Any, when: str) -> None:
        if when == "before":
            say(f"{step.host} {step.name}")
        if chosen(step, when):
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        say(site.deploy(around_step=told).outcome)
    except QuoracyError as error:
        say(f"{type(error).__name__} {error.what!r} at {error.where}")


if __name__ == "__main__":
    main()
