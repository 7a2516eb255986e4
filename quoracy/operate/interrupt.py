"""Ctrl-C in the middle of an operation: the member or host that is worked on comes back first.

Once: the group under way is finished, then the operation stops. Twice: the step under way is cut off
and what was changed by the group is put back. Three times: putting back is cut off as well, and
the next run goes on from what the hosts say.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# Signals belong to the process, so this does, too.
# No Event: its lock is not reentrant, and a second Ctrl-C may come while the first one's handler sets it.
_asked = False

_INTERRUPTED = "interrupting: what is half done is put back; Ctrl-C again cuts that off, too"
_CUT_OFF = (
    "cut off: what is half done stays so; run the same command again, which goes on from there"
)


def stop_asked() -> bool:
    """Whether someone has asked for a stop between two groups."""
    return _asked


def ask_to_stop() -> None:
    """Stop before the next group."""
    global _asked
    _asked = True


@contextmanager
def stop_on_ctrl_c(tell: Callable[[str], None]) -> Iterator[None]:
    """Let the first Ctrl-C ask for a stop while the block runs; later ones interrupt it.

    Args:
        tell: Says to the person at the keyboard what happens now.
    """
    global _asked
    telling = interrupted = False

    def say(words: str) -> None:
        # A second Ctrl-C may come in the middle of this, and streams are not written to twice at a time.
        nonlocal telling
        if not telling:
            telling = True
            try:
                tell(words)
            finally:
                telling = False

    def asked(signum: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        if not _asked:
            ask_to_stop()
            say("stopping once what is under way is done; Ctrl-C again interrupts it at once")
            return
        again, interrupted = interrupted, True
        say(_CUT_OFF if again else _INTERRUPTED)
        signal.default_int_handler(signum, frame)

    before = signal.signal(signal.SIGINT, asked)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        _asked = False
