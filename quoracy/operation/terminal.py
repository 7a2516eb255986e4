"""Who has started an operation from a terminal, in this process: nobody, in one that a runner has started."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_user: str | None = None


def user_at_hand() -> str | None:
    """The user at the terminal; None when the operation was asked for elsewhere.

    Neither a parameter nor a tag: whoever may start a run at the server could set those.
    """
    return _user


@contextmanager
def started_by(user: str) -> Iterator[None]:
    """What runs in the block was started by this user, whoever carries it in this process."""
    global _user  # the terminal belongs to the process
    _user = user
    try:
        yield
    finally:
        _user = None
