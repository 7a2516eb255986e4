"""The writer of the scenarios: unique keys at a steady rate through all members, read back in the end.

It runs in a process of its own, so that the measured program does not slow it down nor the other
way round, and shares nothing with the product but the files of a client certificate.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from types import TracebackType
from typing import IO

from quoracy.errors import QuoracyError
from tests.judges.gateway import ClientFiles, Gateway, NotAnswered
from tests.judges.writer_process import Settings
from tests.judges.writes import Write, WriterReport

__all__ = ["Writer", "WriterReport"]

_PAGE = 1000
_FIRST_WRITE_S = 30.0


class Writer:
    """Writes from `start` to `stop`; as a context manager it never outlives its block.

    Args:
        endpoints: https URLs of the members; used in turn, and another one after each failure.
        files: A client certificate of the cluster's CA.
        rate: Writes per second over all endpoints.
        longest_s: Seconds after which it stops by itself.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        files: ClientFiles,
        *,
        rate: float = 100.0,
        longest_s: float = 900.0,
    ) -> None:
        prefix = f"quoracy-writer/{secrets.token_hex(6)}/"
        self._files = files
        self._settings = Settings(
            prefix, tuple(endpoints), files.ca, files.cert, files.key, rate, longest_s=longest_s
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Writer:
        """Start writing and return once the first write is acknowledged.

        Raises:
            QuoracyError: No write was acknowledged within 30 s.
        """
        self._process = process = subprocess.Popen(
            (sys.executable, "-m", "tests.judges.writer_process"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        given = _pipe(process.stdin)
        given.write(json.dumps(asdict(self._settings)).encode() + b"\n")
        given.flush()
        too_late = threading.Timer(_FIRST_WRITE_S, process.kill)
        too_late.start()
        try:
            if _pipe(process.stdout).readline() != b"writing\n":
                raise QuoracyError(
                    f"the writer had no write acknowledged within {_FIRST_WRITE_S:g} s",
                    where=", ".join(self._settings.endpoints),
                    next_step="look whether the members answer clients with this certificate",
                )
        finally:
            too_late.cancel()
        return self

    def stop(self) -> WriterReport:
        """Stop writing; writes that are under way are carried to their end.

        Raises:
            QuoracyError: The writer is not running, or its process died.
        """
        process = self._process
        if process is None:
            raise QuoracyError("the writer is not running", next_step="start it first")
        self._process = None
        output, _ = process.communicate()
        if process.returncode:
            raise QuoracyError(f"the writer's process died with exit code {process.returncode}")
        notes = json.loads(output)
        writes = tuple(Write(**write) for write in notes["writes"])
        return WriterReport(self._settings.prefix, writes, notes["ended"])

    def lost_writes(self, report: WriterReport) -> tuple[str, ...]:
        """Read all keys back through a member and return those that were acknowledged and are gone.

        Raises:
            NotAnswered: No member answered.
        """
        context = self._files.context()
        problem = NotAnswered("there is no endpoint")
        for endpoint in self._settings.endpoints:
            gateway = Gateway(endpoint, context, timeout_s=10.0)
            try:
                return report.lost(_read_all(gateway, report.prefix))
            except NotAnswered as error:
                problem = error
            finally:
                gateway.close()
        raise problem

    def __enter__(self) -> Writer:
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


def _read_all(gateway: Gateway, prefix: str) -> dict[str, str]:
    """All keys with a prefix, page by page."""
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    found: dict[str, str] = {}
    first = prefix
    while page := gateway.page(first, end, _PAGE):
        found |= page
        first = max(page) + "\0"
    return found


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None, "the process is started with pipes"
    return pipe
