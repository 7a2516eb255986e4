"""The process that forks a controller for each deploy, see `controllers.py`."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from quoracy.errors import QuoracyError
from tests.simulator.site import SimulatedSite


def main() -> None:
    """Fork a controller for every line of standard input, and tell how it ended."""
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
