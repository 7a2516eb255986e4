"""The writer of the scenarios: unique keys at a steady rate through all members, read back in the end.

It runs in a process of its own, so that the measured program does not slow it down nor the other
way round, and shares nothing with the product but the files of a client certificate.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import asdict
from typing import Self

from quoracy.errors import QuoracyError
from tests.judges.child import Judge
from tests.judges.gateway import ClientFiles, Gateway, NotAnswered
from tests.judges.writer_process import Settings
from tests.judges.writes import Write, WriterReport

__all__ = ["Writer", "WriterReport"]

_PAGE = 1000
_FIRST_WRITE_S = 30.0


class Writer(Judge):
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
        super().__init__(
            "the writer", "tests.judges.writer_process", "writing", asdict(self._settings)
        )

    def start(self) -> Self:
        """Start writing and return once the first write is acknowledged.

        Raises:
            QuoracyError: No write was acknowledged within 30 s.
        """
        self._begin(
            _FIRST_WRITE_S,
            QuoracyError(
                f"the writer had no write acknowledged within {_FIRST_WRITE_S:g} s",
                where=", ".join(self._settings.endpoints),
                next_step="look whether the members answer clients with this certificate",
            ),
        )
        return self

    def stop(self) -> WriterReport:
        """Stop writing; writes that are under way are carried to their end.

        Raises:
            QuoracyError: The writer is not running, or its process died.
        """
        notes = self._end()
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


def _read_all(gateway: Gateway, prefix: str) -> dict[str, str]:
    """All keys with a prefix, page by page."""
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    found: dict[str, str] = {}
    first = prefix
    while page := gateway.page(first, end, _PAGE):
        found |= page
        first = max(page) + "\0"
    return found
