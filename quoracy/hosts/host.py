"""The one door to machines: what every transport can do with a host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from quoracy.hosts.limits import ANSWER_BYTES

MAX_BODY_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Result:
    """What a remote script left behind."""

    exit_code: int
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What a server on a host answered.

    Attributes:
        status: 0 when nobody answered.
        body: At most the first `MAX_BODY_BYTES`.
        problem: Why nobody answered, in words.
    """

    status: int
    body: bytes
    problem: str = ""

    @property
    def ok(self) -> bool:
        """Whether it is 2xx."""
        return 200 <= self.status < 300


class Host(Protocol):
    """A machine that runs POSIX shell scripts as root."""

    name: str

    def run(self, script: str, *, what: str, timeout: float = 30.0, check: bool = True) -> Result:
        """Run a script whose text goes through standard input, so it may hold secrets.

        Args:
            script: POSIX shell; the commands in it read /dev/null.
            what: What the script is for, used in errors ("start member").
            timeout: Seconds after which the host kills the script.
            check: Whether a non-zero exit code is an error.

        Raises:
            CommandFailed: The exit code is not zero and `check` is set.
            CommandTimeout: The script did not end in time.
            HostUnreachable: The connection broke.
            RemoteError: It printed more than a host may tell (`ANSWER_BYTES`).
        """

    def send(
        self, script: str, chunks: Iterable[bytes], *, what: str, timeout: float = 600.0
    ) -> Result:
        """Run a script that reads the chunks from its standard input; it stands on argv: no secrets."""

    def receive(
        self, script: str, *, what: str, timeout: float = 600.0, limit: int = ANSWER_BYTES
    ) -> Iterator[bytes]:
        """Yield the script's standard output in chunks; a non-zero exit code is raised at the end.

        Args:
            limit: Bytes that it may be; what it prints beyond them is not yielded.

        Raises:
            RemoteError: It printed more.
        """

    def http_get(
        self,
        port: int,
        path: str,
        *,
        timeout: float = 5.0,
        address: str = "127.0.0.1",
        virtual_host: str = "",
    ) -> HttpAnswer:
        """Ask a server there by HTTP, through the same connection.

        Args:
            timeout: Seconds for everything together.
            address: Seen from the host.
            virtual_host: What the request calls the server; "" is address and port.

        Returns:
            Also when nobody listens or answers: a service that starts has to be asked again.

        Raises:
            ForwardingForbidden: The host's sshd lets no request through to that port.
            HostUnreachable: The host itself could not be reached.
        """

    def require_forwarding(
        self, port: int, *, timeout: float = 5.0, address: str = "127.0.0.1"
    ) -> None:
        """Return when the host's sshd lets requests through to a port; nobody need listen there.

        Raises:
            ForwardingForbidden: It does not.
            HostUnreachable: The host itself could not be reached.
        """

    def close(self) -> None:
        """Close the connection; the host may not be used afterwards."""
