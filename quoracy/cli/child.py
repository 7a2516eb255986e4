"""Commands of ours in processes of their own, and how signals reach them: once for each time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from quoracy.operation.interrupt import ENDING, leave_dead_terminals

LAST_LINES = 5


@dataclass(frozen=True, slots=True)
class Child:
    """A command that has ended.

    Attributes:
        told: What it printed as JSON; empty when it did not get that far.
        last_words: How it ended otherwise, for people.
        interrupted: Whether Ctrl-C, or what ends this process, was passed on to it.
    """

    exit_code: int
    seconds: float
    told: dict[str, Any]
    last_words: str
    interrupted: bool = False


class Children:
    """Commands that run side by side.

    Each has a process group of its own, so that a terminal's Ctrl-C reaches this process alone and
    is passed on exactly once: to an operation, the second one means "interrupt" (operate.interrupt).
    When this process is killed, they come to their end without it.

    Args:
        say: Tells the person at the keyboard what a Ctrl-C has done.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._lock = threading.RLock()  # a second Ctrl-C can come while the first is passed on
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._stopping = False

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Pass on each Ctrl-C, SIGTERM and SIGHUP while the block runs; after the first nothing more is begun."""
        passed = (signal.SIGINT, *ENDING)
        handled = [one for one in passed if signal.getsignal(one) is not signal.SIG_IGN]
        before = {one: signal.signal(one, self._interrupt) for one in handled}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

    def run(self, name: str, arguments: tuple[str, ...]) -> Child | None:
        """Run `pxdcli` with the arguments and wait for its end; None when a stop was asked for."""
        begun = time.monotonic()
        with self._lock:  # no Ctrl-C between the question and the start, which would be missed
            if self._stopping:
                return None
            try:
                process = _start(arguments)
            except OSError as error:
                return Child(1, 0.0, {}, f"cannot be started: {error.strerror}")
            self._running[name] = process
        out, err = process.communicate()
        with self._lock:
            del self._running[name]
        seconds, code = round(time.monotonic() - begun, 1), process.returncode
        return Child(code, seconds, _told(out), _last_words(code, err), self._stopping)

    def _interrupt(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002
        with self._lock:
            self._stopping = True
            for process in self._running.values():
                process.send_signal(signum)
            names = ", ".join(self._running) or "no one"
        leave_dead_terminals()
        self._say(f"stopping: nothing more is begun; told {names}, and waiting for the end")


def _start(arguments: tuple[str, ...]) -> subprocess.Popen[str]:
    # -P: a project may hold a directory that is called like one of our modules.
    command = (sys.executable, "-P", "-m", "quoracy.cli.pxdcli", *arguments)
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        process_group=0,
        env={**os.environ, "COLUMNS": "200"},
    )


def _told(out: str) -> dict[str, Any]:
    try:
        told = json.loads(out)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _last_words(exit_code: int, err: str) -> str:
    words = "\n".join(err.strip().splitlines()[-LAST_LINES:])
    how = f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
    return f"ended with {how}" + (f": {words}" if words else "")
