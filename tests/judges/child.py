"""A judge's own process: it goes on while the test that started it stands still or dies."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from types import TracebackType
from typing import Any, Self

from quoracy.errors import QuoracyError


class Judge:
    """Works in a process from `start` to `stop`; as a context manager it never outlives its block.

    Args:
        name: For people: "the writer".
        module: What the process runs; it reads settings as a line of JSON, says `ready` in a line, and when its
            standard input ends, what it has seen as JSON.
    """

    def __init__(self, name: str, module: str, ready: str, settings: dict[str, Any]) -> None:
        self._name, self._module, self._ready, self._given = name, module, ready, settings
        self._process: subprocess.Popen[bytes] | None = None

    def _begin(self, within_s: float, otherwise: QuoracyError) -> None:
        """Start the process and return once it is ready; raise the error when it is not in time."""
        self._process = process = subprocess.Popen(
            (sys.executable, "-m", self._module), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(self._given).encode() + b"\n")
        process.stdin.flush()
        too_late = threading.Timer(within_s, process.kill)
        too_late.start()
        try:
            if process.stdout.readline() != f"{self._ready}\n".encode():
                raise otherwise
        finally:
            too_late.cancel()

    def _end(self) -> Any:
        """End the process and return what it has seen.

        Raises:
            QuoracyError: It is not running, or died.
        """
        process, self._process = self._process, None
        if process is None:
            raise QuoracyError(f"{self._name} is not running", next_step="start it first")
        output, _ = process.communicate()
        if process.returncode:
            raise QuoracyError(f"{self._name}'s process died with exit code {process.returncode}")
        return json.loads(output)

    def start(self) -> Self:
        """Start judging."""
        raise NotImplementedError

    def __enter__(self) -> Self:
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
