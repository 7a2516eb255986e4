"""Work in threads of its own, while the thread that signals come to does nothing but wait.

A signal's handler may raise in the middle of anything: Ctrl-C does, and so does Prefect when a run is
cancelled. In paramiko, as in much of Python's own `threading`, that can leave a lock which nobody lets go,
and whoever needs it next waits for ever: a host that was to be put back stayed as it was. Here the
exception meets a wait in C, which holds nothing; what is under way is told, and ends at a place of its own.
"""

from __future__ import annotations

import _thread
import contextvars
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")

LOOK_S = 0.2
"""Seconds after which whoever waits, for a host or a program, looks whether its work was cut off."""

# A signal that arrives just before a wait begins does not end it.
_WOKEN_S = 1.0


class CutOff(BaseException):
    """Whoever waits for this work was interrupted: no error, and nobody's to catch."""


class Abandoned(KeyboardInterrupt):
    """Interrupted again, before the work that was cut off had ended: it may still go on."""


@dataclass(frozen=True, slots=True)
class Ended(Generic[T]):
    """How a call ended: with its value, or with what it raised."""

    value: T | None = None
    error: BaseException | None = None

    def result(self) -> T:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # without an error it is the call's own


def aside(call: Callable[[], T]) -> T:
    """Return what the call returns, or raise what it raises; see `side_by_side`."""
    (ended,) = side_by_side((call,), 1)
    return ended.result()


def side_by_side(calls: Sequence[Callable[[], T]], at_once: int) -> list[Ended[T]]:
    """Carry out calls, each in the caller's context, some of them at a time.

    When the waiting is interrupted no further call begins, those under way are cut off, and the
    interruption is raised once they have ended. The process does not end before they have.

    Raises:
        Abandoned: Interrupted again before that.
    """
    work = _Work(calls)
    try:
        # `Thread.start` waits in Python for the thread to be there: not here.
        _thread.start_new_thread(work.start, (min(at_once, len(calls)),))
        work.wait(len(calls))
    except BaseException:
        work.mark.cut = True  # before anything else can be interrupted
        try:
            work.wait_for_the_begun()
        except BaseException as again:
            raise Abandoned("interrupted again before what was under way had ended") from again
        raise
    return [work.ended[place] for place in range(len(calls))]


def require_uncut() -> None:
    """Return unless whoever waits for this work was interrupted.

    Raises:
        CutOff: They were.
    """
    mark = _mark.get()
    if mark is not None and mark.is_cut():
        raise CutOff("cut off")


def pause(seconds: float) -> None:
    """Sleep.

    Raises:
        CutOff: Whoever waits for this work was interrupted.
    """
    end = time.monotonic() + seconds
    require_uncut()
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, LOOK_S))
        require_uncut()


class _Mark:
    """Whether work was cut off, or the work that it is part of."""

    def __init__(self) -> None:
        self._whole = _mark.get()
        self.cut = False

    def is_cut(self) -> bool:
        return self.cut or (self._whole is not None and self._whole.is_cut())


_mark: contextvars.ContextVar[_Mark | None] = contextvars.ContextVar("mark", default=None)


class _Work(Generic[T]):
    """Calls that threads take one after the other; what they share is changed in single steps, without locks.

    Attributes:
        ended: How calls have ended, by their place.
        mark: Whether they are cut off.
    """

    def __init__(self, calls: Sequence[Callable[[], T]]) -> None:
        self.ended: dict[int, Ended[T]] = {}
        self.mark = _Mark()
        self._left: SimpleQueue[tuple[int, contextvars.Context, Callable[[], T]]] = SimpleQueue()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._count = len(calls)
        for place, call in enumerate(calls):
            self._left.put((place, contextvars.copy_context(), call))

    def start(self, threads: int) -> None:
        """Carry the calls out in so many threads."""
        try:
            for _ in range(threads):
                threading.Thread(target=self._carry_on, name="aside", daemon=False).start()
        except RuntimeError:  # no more threads can be had: this one and those that there are do it
            self._carry_on()

    def _carry_on(self) -> None:
        while True:
            try:
                place, context, call = self._left.get_nowait()
            except Empty:
                return
            self.ended[place] = context.run(self._call, call)
            self._bell.put(None)

    def _call(self, call: Callable[[], T]) -> Ended[T]:
        _mark.set(self.mark)
        try:
            require_uncut()
            return Ended(call())
        except BaseException as error:  # noqa: BLE001  raised again where it is waited for
            return Ended(error=error)

    def wait(self, count: int) -> None:
        """Return when so many calls have ended."""
        while len(self.ended) < count:
            try:
                self._bell.get(timeout=_WOKEN_S)
            except Empty:
                continue

    def wait_for_the_begun(self) -> None:
        """Let no further call begin, and return when those that have begun have ended."""
        begun = self._count
        while True:
            try:
                self._left.get_nowait()
            except Empty:
                break
            begun -= 1
        self.wait(begun)
