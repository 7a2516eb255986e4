"""What is said to a shell on a host, whatever carries it there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import chain

from quoracy.errors import RemoteError
from quoracy.hosts.command import command_line, guarded, judged, reading, too_long
from quoracy.hosts.exchange import Exchange
from quoracy.hosts.host import Result
from quoracy.hosts.limits import ANSWER_BYTES

STDERR_KEPT = 64 * 1024  # bytes, of a command whose standard output is streamed
SUDO_CHECK_SECONDS = 10.0


class ShellHost(ABC):
    """A host whose login shell takes command lines; subclasses bring them there.

    Args:
        name: The host's name.
        user: The login; anything but root becomes root with sudo, without a password.
    """

    def __init__(self, name: str, user: str) -> None:
        self.name = name
        self._user = user
        self._becomes_root = user == "root"

    @abstractmethod
    def _exchange(self, line: str, what: str, timeout: float) -> AbstractContextManager[Exchange]:
        """Start a command line; leaving the block ends the exchange."""

    def run(self, script: str, *, what: str, timeout: float = 30.0, check: bool = True) -> Result:
        """Run a script whose text goes through standard input; see `Host.run`."""
        with self._command(what, timeout, "sh", "-s") as exchange:
            exchange.feed((guarded(script),))
            result = exchange.result()
        return self._judged(result, what, timeout, exchange, check=check)

    def send(
        self, script: str, chunks: Iterable[bytes], *, what: str, timeout: float = 600.0
    ) -> Result:
        """Run a script that reads the chunks; it may stand on argv: no secrets; see `Host.send`.

        To the script an upload that broke off ends like a complete one: it has to check length or digest.
        """
        argv, first = reading(script)
        with self._command(what, timeout, *argv) as exchange:
            result = exchange.result_while_feeding(chain((first,), chunks))
        return self._judged(result, what, timeout, exchange, check=True)

    def receive(
        self, script: str, *, what: str, timeout: float = 600.0, limit: int = ANSWER_BYTES
    ) -> Iterator[bytes]:
        """Yield the script's output as it comes; it starts with the first chunk; see `Host.receive`.

        Memory is bounded by the channel's window: a slow reader slows the script down.
        """
        stderr, left = b"", limit
        with self._command(what, timeout, "sh", "-s") as exchange:
            exchange.feed((guarded(script),))
            for from_stdout, from_stderr in exchange.output():
                stderr = (stderr + from_stderr)[-STDERR_KEPT:]
                left -= len(from_stdout)
                if left < 0:
                    raise too_long(what, self.name, limit)
                if from_stdout:
                    yield from_stdout
            result = Result(exchange.exit_code(), b"", stderr)
        self._judged(result, what, timeout, exchange, check=True)

    def _judged(
        self, result: Result, what: str, timeout: float, exchange: Exchange, *, check: bool
    ) -> Result:
        return judged(
            result,
            what=what,
            where=self.name,
            timeout=timeout,
            elapsed=exchange.elapsed,
            check=check,
        )

    @contextmanager
    def _command(self, what: str, timeout: float, *argv: str) -> Iterator[Exchange]:
        if not self._becomes_root:
            self._require_sudo()
        line = command_line(self._user, timeout, *argv)
        with self._exchange(line, what, timeout) as exchange:
            yield exchange

    def _require_sudo(self) -> None:
        with self._exchange("sudo -n true", "become root", SUDO_CHECK_SECONDS) as exchange:
            result = exchange.result_while_feeding(())
        if result.exit_code != 0:
            said = result.stderr.decode(errors="replace").strip()
            raise RemoteError(
                f"the login {self._user} cannot become root without a password: {said}",
                where=self.name,
                next_step=f"add to its sudoers: {self._user} ALL=(ALL) NOPASSWD: ALL",
            )
        self._becomes_root = True
