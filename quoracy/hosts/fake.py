"""A host that exists only in memory, for tests of what talks to hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from quoracy.errors import ForwardingForbidden, QuoracyError
from quoracy.hosts.command import judged, too_long
from quoracy.hosts.host import HttpAnswer, Result
from quoracy.hosts.limits import ANSWER_BYTES

CHUNK_BYTES = 64 * 1024

Answer = Result | QuoracyError | Callable[[str], Result]
WebAnswer = HttpAnswer | QuoracyError | Callable[[int, str], HttpAnswer]


class FakeHost:
    r"""Answers scripts as it was told to and remembers them; an answer that is an error is raised.

    ::

        host = FakeHost("demo-1")
        host.answer(lambda script: "hostname" in script, Result(0, b"demo-1\n", b""))
        host.answer(lambda script: "start" in script, HostUnreachable("cut off", where="demo-1"))

    Args:
        name: The host's name.

    Attributes:
        scripts: Every script that was run, sent to or received from, oldest first.
        sent: For each `send`, all the bytes that it was given.
        asked: Address, port, path and time limit of every HTTP request, oldest first.
        virtual_hosts: What each of these requests called the server.
        forwards: Whether its sshd lets requests through.
        closed: Whether the host was closed.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.scripts: list[str] = []
        self.sent: list[bytes] = []
        self.asked: list[tuple[str, int, str, float]] = []
        self.virtual_hosts: list[str] = []
        self.forwards = True
        self.closed = False
        self._answers: list[tuple[Callable[[str], bool], Answer]] = []
        self._web_answers: list[tuple[Callable[[int, str], bool], WebAnswer]] = []

    def answer(self, when: Callable[[str], bool], answer: Answer) -> None:
        """Answer the scripts for which `when` is true; the answer given last goes first."""
        self._answers.insert(0, (when, answer))

    def http_answer(self, when: Callable[[int, str], bool], answer: WebAnswer) -> None:
        """Answer the ports and paths for which `when` is true; the answer given last goes first."""
        self._web_answers.insert(0, (when, answer))

    def run(self, script: str, *, what: str, timeout: float = 30.0, check: bool = True) -> Result:
        """Return the answer to the script; see `Host.run`."""
        result = self._answer_to(script)
        if len(result.stdout) + len(result.stderr) > ANSWER_BYTES:
            raise too_long(what, self.name, ANSWER_BYTES)
        return judged(result, what=what, where=self.name, timeout=timeout, elapsed=0.0, check=check)

    def send(
        self, script: str, chunks: Iterable[bytes], *, what: str, timeout: float = 600.0
    ) -> Result:
        """Keep the chunks and return the answer to the script; see `Host.send`."""
        self.sent.append(b"".join(chunks))
        return self.run(script, what=what, timeout=timeout)

    def receive(
        self, script: str, *, what: str, timeout: float = 600.0, limit: int = ANSWER_BYTES
    ) -> Iterator[bytes]:
        """Yield the answer's standard output in chunks; see `Host.receive`."""
        result = self._answer_to(script)
        if len(result.stdout) > limit:
            raise too_long(what, self.name, limit)
        for start in range(0, len(result.stdout), CHUNK_BYTES):
            yield result.stdout[start : start + CHUNK_BYTES]
        judged(result, what=what, where=self.name, timeout=timeout, elapsed=0.0, check=True)

    def http_get(
        self,
        port: int,
        path: str,
        *,
        timeout: float = 5.0,
        address: str = "127.0.0.1",
        virtual_host: str = "",
    ) -> HttpAnswer:
        """Return the answer to the request; see `Host.http_get`."""
        self.asked.append((address, port, path, timeout))
        self.virtual_hosts.append(virtual_host)
        self.require_forwarding(port, timeout=timeout, address=address)
        for when, answer in self._web_answers:
            if when(port, path):
                if isinstance(answer, QuoracyError):
                    raise answer
                return answer if isinstance(answer, HttpAnswer) else answer(port, path)
        raise LookupError(f"nobody told {self.name} what to answer to port {port}, {path}")

    def require_forwarding(
        self, port: int, *, timeout: float = 5.0, address: str = "127.0.0.1"
    ) -> None:
        """Raise unless it forwards; see `Host.require_forwarding`."""
        if not self.forwards:
            told = f"its sshd forbids to connect to {address} port {port} (asked for {timeout:g} s)"
            raise ForwardingForbidden(told, where=self.name)

    def close(self) -> None:
        """Remember that the host was closed."""
        self.closed = True

    def _answer_to(self, script: str) -> Result:
        self.scripts.append(script)
        for when, answer in self._answers:
            if when(script):
                if isinstance(answer, QuoracyError):
                    raise answer
                return answer if isinstance(answer, Result) else answer(script)
        raise LookupError(f"nobody told {self.name} what to answer to:\n{script}")
