"""Running a program of the controller whose output is shown as it comes, and that always ends."""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from quoracy.aside import LOOK_S, pause, require_uncut
from quoracy.errors import StepFailed
from quoracy.plain import plain
from quoracy.services.code.sandbox import Inside, Sandbox

Log = Callable[[str], None]

_LINE_CHARS = 2000
# npm says what is wrong first and then explains itself; compilers end with what is wrong.
_FIRST_LINES, _LAST_LINES = 10, 20


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs programs that install or build.

    Attributes:
        log: Is handed each line of their output, in the calling thread.
        timeout: Seconds that each of them may take.
        sandbox: The wall that they run behind.
    """

    log: Log
    timeout: float
    sandbox: Sandbox

    def run(self, argv: tuple[str, ...], what: str, cwd: Path, env: Mapping[str, str]) -> None:
        """Run a program behind the wall, in a process group of its own.

        Whatever of it still runs when it has ended, at the timeout or at an interruption, is killed.

        Raises:
            StepFailed: It ended with another exit code than 0, or did not end in time.
        """
        said, deadline = _Said(self.log), time.monotonic() + self.timeout
        told, tell = os.pipe()
        command = self.sandbox.command(argv, cwd, env)
        with self.sandbox.handed_over(), _started(command, tell, env) as process:
            os.close(tell)
            inside = Inside(told)
            try:
                in_time = _relay(process, said, deadline)
            finally:
                # Its process is not reaped yet, so nobody else has its number.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                inside.end()
        said.end()
        if not in_time:
            ended = f"did not end within {self.timeout:g} s and was stopped"
        elif process.returncode:
            ended = f"failed with {_ending(process.returncode)}"
        else:
            return
        raise StepFailed(f"{what} {ended}{said.excerpt()}")


def _started(
    command: tuple[str, ...], tell: int, env: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    bubblewrap, *more = command
    return subprocess.Popen(
        (bubblewrap, "--info-fd", str(tell), *more),
        env=dict(env),
        pass_fds=(tell,),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _ending(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"signal {-code}"


def _relay(process: subprocess.Popen[bytes], said: _Said, deadline: float) -> bool:
    """Pass the output on until the program has ended; False when it does not in time."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while time.monotonic() < deadline:
            require_uncut()
            ended = _has_ended(process.pid)
            if selector.select(0 if ended else LOOK_S):
                if not _pass_on(process.stdout, said):
                    selector.unregister(process.stdout)
                    return _ends(process.pid, deadline)
            elif ended:
                # Something that it left in the background may hold the pipe open for ever.
                return True
    return False


def _pass_on(pipe: IO[bytes], said: _Said) -> bool:
    piece = os.read(pipe.fileno(), 65536)
    said.hear(piece)
    return bool(piece)


def _ends(pid: int, deadline: float) -> bool:
    """Wait for a program that has closed its output."""
    while not _has_ended(pid):
        if time.monotonic() >= deadline:
            return False
        pause(LOOK_S / 10)
    return True


def _has_ended(pid: int) -> bool:
    """Whether it has; it stays a zombie, so that its process group's number stays taken."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


class _Said:
    """Output cut into lines; remembers the first and the last of them."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._open = ""
        self._first: list[str] = []
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        self._left_out = 0

    def hear(self, piece: bytes) -> None:
        """Take more bytes."""
        *lines, self._open = re.split(r"[\r\n]", self._open + self._decoder.decode(piece))
        for line in lines:
            self._say(line)
        while len(self._open) > _LINE_CHARS:
            self._say(self._open[:_LINE_CHARS])
            self._open = self._open[_LINE_CHARS:]

    def end(self) -> None:
        """The last line may have no end."""
        self._say(self._open + self._decoder.decode(b"", final=True))
        self._open = ""

    def _say(self, line: str) -> None:
        shown = plain(line).replace("\n", " ").rstrip()[:_LINE_CHARS]
        if not shown:
            return
        self._log(shown)
        if len(self._first) < _FIRST_LINES:
            self._first.append(shown)
        else:
            self._left_out += len(self._last) == _LAST_LINES
            self._last.append(shown)

    def excerpt(self) -> str:
        """What it said, for an error."""
        lines = "".join(f"\n    {line}" for line in self._lines())
        return f":{lines}" if lines else ""

    def _lines(self) -> Iterator[str]:
        yield from self._first
        if self._left_out:
            yield f"… {self._left_out} lines …"
        yield from self._last
