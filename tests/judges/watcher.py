"""The watcher: which members served, when, seen by polling their client endpoints from outside.

It runs in a process of its own and shares nothing with the product but the files of a client
certificate. What counts as down, and as below quorum, is said in `tests/judges/availability.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Self

from quoracy.errors import QuoracyError
from tests.judges.availability import Availability, Interval
from tests.judges.child import Judge
from tests.judges.gateway import ClientFiles
from tests.judges.watcher_process import Settings

__all__ = ["Availability", "Interval", "Watcher"]

_FIRST_ANSWERS_S = 30.0


class Watcher(Judge):
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
        super().__init__(
            "the watcher", "tests.judges.watcher_process", "watching", asdict(self._settings)
        )

    def start(self) -> Self:
        """Start polling and return once every member has answered.

        Raises:
            QuoracyError: One did not within 30 s: what is down from the start cannot be judged.
        """
        self._begin(
            _FIRST_ANSWERS_S,
            QuoracyError(
                f"not every member answered the watcher within {_FIRST_ANSWERS_S:g} s",
                where=", ".join(self._settings.members.values()),
                next_step="look whether the members answer clients with this certificate",
            ),
        )
        return self

    def stop(self) -> Availability:
        """Stop polling and return what was seen.

        Raises:
            QuoracyError: The watcher is not running, or its process died.
        """
        told = self._end()
        return Availability(
            {
                name: tuple(Interval(**one) for one in intervals)
                for name, intervals in told["downs"].items()
            },
            {int(term): leader for term, leader in told["terms"].items()},
            told["polls"],
        )
