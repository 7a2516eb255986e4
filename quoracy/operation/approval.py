"""The question after the first member: its figures are shown, and somebody says whether to go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Approval:
    """What is asked.

    Attributes:
        title: The operation, as its plan calls it.
        done: The member that was changed first.
        figures: What became of it, as a Markdown table.
        left: The members that come next, in order.
    """

    cluster: str
    title: str
    done: str
    figures: str
    left: tuple[str, ...]


Approve = Callable[[Approval], None]
"""Returns when it is approved and raises NotApproved when it is not."""

_at_hand: Approve | None = None


def approver_at_hand() -> Approve | None:
    """Who is asked at the terminal that the operation was started from; None when nobody is there."""
    return _at_hand


@contextmanager
def approving_with(approve: Approve) -> Iterator[None]:
    """Ask here while the block runs, whoever carries the operation in this process."""
    global _at_hand  # the terminal belongs to the process
    _at_hand = approve
    try:
        yield
    finally:
        _at_hand = None
