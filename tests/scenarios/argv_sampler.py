"""Watches for secrets where every user of a machine can see them: argv and environments."""

from __future__ import annotations

import os
import threading
from pathlib import Path


class ArgvSampler:
    """Collects the command lines and environments of all processes of machine and practice hosts.

    Practice hosts are containers, so the machine's /proc shows their processes as well.
    """

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> ArgvSampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        known: set[str] = set()
        while not self._stop.wait(0.002):
            with os.scandir("/proc") as entries:  # a path of each would take most of the time
                present = {entry.name for entry in entries if entry.name.isdigit()}
            for pid in present - known:
                for file in ("cmdline", "environ"):
                    try:
                        self.seen.add(Path("/proc", pid, file).read_bytes())
                    except OSError:
                        continue  # it has ended meanwhile
            known = present
