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
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class Controllers:
    """Forks a controller for each deploy that is asked for."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            (sys.executable, "-m", "tests.simulator.controller_process"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def deploy(self, site: dict[str, Any], kill: dict[str, str]) -> tuple[int, str]:
        """Deploy in a process of its own.

        Args:
            site: What makes the simulated site anew there.
            kill: step, host and "before" or "after"; empty when it is to end by itself.

        Returns:
            Its exit status (-9 when it was killed), and what it said: its steps, and how it ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"site": site, "kill": kill}) + "\n")
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
