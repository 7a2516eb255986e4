"""Whether the numbers that hosts tell can be those of operations on them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from quoracy.operation.guard import REACH
from quoracy.operation.verdict import Status, Verdict, failed


def check_fences(
    subject: str, known: int, seen: Mapping[str, int], *, acts: bool = True
) -> list[Verdict]:
    """What hosts have seen may be above what the database has given, but not by more than all operations ever.

    Args:
        subject: A cluster, or `service:` and a name.
        known: The highest number that the database has given.
        seen: The number that each host has seen.
        acts: Whether anything is to be done there; else it is a warning.
    """
    beyond = [
        failed(
            "NumberBeyondReason",
            f"it says that operation number {number} has acted on {subject}, and the last one here was "
            f"number {known}: it does not tell the truth, or another controller's database is far ahead",
            where=host,
            next_step="when no other controller works on it: "
            f"`quoracy lease renumber {subject} {host}` gives it the number from here",
        )
        for host, number in seen.items()
        if number > known + REACH
    ]
    return beyond if acts else [replace(one, status=Status.WARN) for one in beyond]
