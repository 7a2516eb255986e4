"""What builds and hooks say, shown as it comes where the operation was started from a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_show: Callable[[str], None] | None = None


def show_output(line: str) -> None:
    """Show a line to the person at the terminal; nobody may be there."""
    if _show is not None:
        _show(line)


@contextmanager
def showing_with(show: Callable[[str], None]) -> Iterator[None]:
    """Show lines here while the block runs, whoever carries the operation in this process."""
    global _show  # the terminal belongs to the process
    _show = show
    try:
        yield
    finally:
        _show = None
