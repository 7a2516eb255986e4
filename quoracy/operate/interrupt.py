"""Ctrl-C in the middle of an operation: the member or host that is worked on comes back first.

Once: the group under way is finished, then the operation stops. Twice: the step under way is cut off
and what was changed by the group is put back. Three times: putting back is cut off as well, and
the next run goes on from what the hosts say.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# Signals belong to the process, so this does, too.
_asked = threading.Event()


def stop_asked() -> bool:
    """Whether someone has asked for a stop between two groups."""
    return _asked.is_set()


def ask_to_stop() -> None:
    """Stop before the next group."""
    _asked.set()


@contextmanager
def stop_on_ctrl_c(tell: Callable[[str], None]) -> Iterator[None]:
    """Let the first Ctrl-C ask for a stop while the block runs; later ones interrupt it.

    Args:
        tell: Says to the person at the keyboard what happens now.
    """

    def asked(signum: int, frame: FrameType | None) -> None:
        if _asked.is_set():
            tell("interrupting: what is half done is put back; Ctrl-C again cuts that off, too")
            signal.default_int_handler(signum, frame)
        ask_to_stop()
        tell("stopping once what is under way is done; Ctrl-C again interrupts it at once")

    before = signal.signal(signal.SIGINT, asked)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        _asked.clear()
