"""Ctrl-C, SIGTERM and SIGHUP in the middle of an operation: the member or host that is worked on comes back first.

Ctrl-C once: the group under way is finished, then the operation stops. Twice, or SIGTERM or SIGHUP: the
step under way is cut off and what was changed by the group is put back. Ctrl-C once more: putting back
is cut off as well, and the next run goes on from what the hosts say.

A service manager sends SIGTERM more than once, and a terminal that closes SIGHUP, from the shell and from
the kernel: those that come after the first one change nothing.
"""

from __future__ import annotations

import os
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

ENDING = (signal.SIGTERM, signal.SIGHUP)
_STREAMS = (1, 2)

_STOPPING = "stopping once what is under way is done; Ctrl-C again interrupts it at once"
_INTERRUPTED = "interrupting: what is half done is put back; Ctrl-C again cuts that off, too"
_CUT_OFF = (
    "cut off: what is half done stays so; run the same command again, which goes on from there"
)


class Terminated(KeyboardInterrupt):
    """The process was asked to end by a signal, which its text names."""


class _Course:
    """What was asked for until now, and how the person at the keyboard is told."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._telling = self._interrupted = False

    def key(self, signum: int, frame: FrameType | None) -> None:
        """Ctrl-C."""
        if not _asked:
            ask_to_stop()
            self._say(_STOPPING)
            return
        again, self._interrupted = self._interrupted, True
        self._say(_CUT_OFF if again else _INTERRUPTED)
        signal.default_int_handler(signum, frame)

    def end(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """SIGTERM or SIGHUP."""
        if self._interrupted:
            return
        self._interrupted = True
        ask_to_stop()
        leave_dead_terminals()
        self._say(f"{signal.Signals(signum).name}: {_INTERRUPTED}")
        raise _terminated(signum)

    def _say(self, words: str) -> None:
        # A second signal may come in the middle of this, and streams are not written to twice at a time.
        if self._telling:
            return
        self._telling = True
        try:
            # Whoever reads may be gone; what is half done is put back nevertheless.
            with suppress(OSError):
                self._tell(words)
        finally:
            self._telling = False


# Signals belong to the process, so these do, too.
# No Event: its lock is not reentrant, and a second Ctrl-C may come while the first one's handler sets it.
_asked = False
_course: _Course | None = None
_ended, _depth = False, 0  # of `ended_once`


def stop_asked() -> bool:
    """Whether someone has asked for a stop between two groups."""
    return _asked


def ask_to_stop() -> None:
    """Stop before the next group."""
    global _asked
    _asked = True


def leave_dead_terminals() -> None:
    """Whatever is said to a terminal that is gone goes nowhere, instead of failing in the middle of a step."""
    for stream in _STREAMS:
        with suppress(OSError):  # closed already
            if stat.S_ISCHR(os.fstat(stream).st_mode) and not os.isatty(stream):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream)
                os.close(nowhere)


@contextmanager
def stop_on_signals(tell: Callable[[str], None]) -> Iterator[None]:
    """Let the first Ctrl-C ask for a stop while the block runs; later ones, SIGTERM and SIGHUP interrupt it.

    Args:
        tell: Says to the person at the keyboard what happens now.
    """
    global _asked, _course
    _course = course = _Course(tell)
    # What whoever has started the process ignores, as nohup does, stays ignored.
    handlers = {one: course.end for one in ENDING if signal.getsignal(one) is not signal.SIG_IGN}
    before = {one: signal.signal(one, handler) for one, handler in handlers.items()}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, course.key)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        _asked, _course = False, None


@contextmanager
def ended_once() -> Iterator[None]:
    """Let SIGTERM and SIGHUP interrupt the block once, whoever else would handle them.

    Prefect handles SIGTERM by itself, anew in each subflow: the second one would cut off what the first
    one has begun to put back. A block in such a block is the same one.
    """
    global _ended, _depth
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {one: signal.getsignal(one) for one in ENDING}
    handled = {
        one: _Once(handler)
        for one, handler in before.items()
        if handler is not signal.SIG_IGN and not isinstance(handler, _Once)
    }
    for one, once in handled.items():
        signal.signal(one, once)
    _depth += 1
    try:
        yield
    finally:
        for one in handled:
            signal.signal(one, before[one])
        _depth -= 1
        _ended = _ended and _depth > 0


class _Once:
    """A handler for SIGTERM and SIGHUP in such a block: the first of them counts.

    Args:
        handler: What there is for a signal beside, as `signal.getsignal` tells it.
    """

    def __init__(self, handler: Callable[[int, FrameType | None], object] | int | None) -> None:
        self._handler = handler

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        global _ended
        if _course is not None:
            _course.end(signum, frame)
            return
        again, _ended = _ended, True
        if again:
            return
        if not callable(self._handler):
            raise _terminated(signum)
        self._handler(signum, frame)


def _terminated(signum: int) -> Terminated:
    return Terminated(f"ended by {signal.Signals(signum).name}")
