"""The watcher: which members served, when, seen by polling their client endpoints from outside.

It runs in a process of its own and shares nothing with the product but the files of a client
certificate. What counts as down, and as below quorum, is said in `tests/judges/availability.py`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict
from types import TracebackType
from typing import IO

from quoracy.errors import QuoracyError
from tests.judges.availability import Availability, Interval
from tests.judges.gateway import ClientFiles
from tests.judges.watcher_process import Settings

__all__ = ["Availability", "Interval", "Watcher"]

_FIRST_ANSWERS_S = 30.0


class Watcher:
    """Polls from `start` to `stop`; as a context manager it never outlives its block.

    Args:
        members: Client URL (https) of each voter, by name.
        files: A client certificate of the cluster's CA.
        every_s: Seconds from poll to poll of each member.
    """

    def __init__(
        self, members: Mapping[str, str], files: ClientFiles, *, every_s: float = 0.1
    ) -> None:
        self._settings = Settings(dict(members), files.ca, files.cert, files.key, every_s)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Watcher:
        """Start polling and return once every member has answered.

        Raises:
            QuoracyError: One did not within 30 s: what is down from the start cannot be judged.
        """
        self._process = process = subprocess.Popen(
            (sys.executable, "-m", "tests.judges.watcher_process"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        given = _pipe(process.stdin)
        given.write(json.dumps(asdict(self._settings)).encode() + b"\n")
        given.flush()
        too_late = threading.Timer(_FIRST_ANSWERS_S, process.kill)
        too_late.start()
        try:
            if _pipe(process.stdout).readline() != b"watching\n":
                raise QuoracyError(
                    f"not every member answered the watcher within {_FIRST_ANSWERS_S:g} s",
                    where=", ".join(self._settings.members.values()),
                    next_step="look whether the members answer clients with this certificate",
                )
        finally:
            too_late.cancel()
        return self

    def stop(self) -> Availability:
        """Stop polling and return what was seen.

        Raises:
            QuoracyError: The watcher is not running, or its process died.
        """
        process = self._process
        if process is None:
            raise QuoracyError("the watcher is not running", next_step="start it first")
        self._process = None
        output, _ = process.communicate()
        if process.returncode:
            raise QuoracyError(f"the watcher's process died with exit code {process.returncode}")
        told = json.loads(output)
        return Availability(
            {
                name: tuple(Interval(**one) for one in intervals)
                for name, intervals in told["downs"].items()
            },
            {int(term): leader for term, leader in told["terms"].items()},
            told["polls"],
        )

    def __enter__(self) -> Watcher:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None, "the process is started with pipes"
    return pipe
