"""One HTTP request through an SSH connection, with an end to its patience and its memory."""

from __future__ import annotations

import io
import time
from contextlib import closing
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Any

import paramiko

from quoracy.errors import HostUnreachable
from quoracy.remote.host import MAX_BODY_BYTES, HttpAnswer

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_CONNECT_FAILED = 2  # SSH_OPEN_CONNECT_FAILED, RFC 4254, 5.1


def get(
    transport: paramiko.Transport, server: tuple[str, int], path: str, *, timeout: float, where: str
) -> HttpAnswer:
    """Ask a server for a path; see `Host.http_get`.

    Args:
        server: Address and port, seen from the host.
        timeout: Seconds for everything together: a server may send a byte a second.
        where: The host's name.

    Raises:
        HostUnreachable: The SSH connection is gone, or sshd forbids to forward.
    """
    deadline = time.monotonic() + timeout
    try:
        channel = transport.open_channel("direct-tcpip", server, ("127.0.0.1", 0), timeout=timeout)
    except paramiko.ChannelException as error:
        if error.code == _CONNECT_FAILED:
            return HttpAnswer(0, b"", f"nobody takes connections: {error.text}")
        raise HostUnreachable(
            f"its sshd did not connect to {server[0]} port {server[1]}: {error.text}",
            where=where,
            next_step="allow forwarding to that port in its sshd_config (AllowTcpForwarding, PermitOpen)",
        ) from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        return _unless_broken(transport, where, f"no connection within {timeout:g} s: {error}")
    with closing(channel):
        answer = _asked(channel, server, path, deadline, timeout)
    return answer if answer.status else _unless_broken(transport, where, answer.problem)


def _unless_broken(transport: paramiko.Transport, where: str, problem: str) -> HttpAnswer:
    if not transport.is_active():
        raise HostUnreachable(
            f"the connection broke: {problem}",
            where=where,
            next_step="check the host, run it again",
        )
    return HttpAnswer(0, b"", problem)


def _asked(
    channel: paramiko.Channel, server: tuple[str, int], path: str, deadline: float, timeout: float
) -> HttpAnswer:
    """The answer; whatever goes wrong on the way is its `problem`."""
    address, port = server
    authority = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    request = (
        f"GET {path} HTTP/1.1\r\nHost: {authority}\r\n"
        "User-Agent: quoracy\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )
    try:
        channel.settimeout(timeout)
        channel.sendall(request.encode("ascii"))
        response = HTTPResponse(_Reader(channel, deadline), method="GET")  # type: ignore[arg-type]
        response.begin()
        return HttpAnswer(response.status, response.read(MAX_BODY_BYTES))
    except TimeoutError:
        return HttpAnswer(0, b"", f"no answer within {timeout:g} s")
    except HTTPException as error:
        return HttpAnswer(0, b"", f"no HTTP answer: {error!r}")
    except (OSError, EOFError) as error:
        return HttpAnswer(0, b"", f"the connection broke: {error}")


class _Reader(io.RawIOBase):
    """A channel as a file, until the deadline."""

    def __init__(self, channel: paramiko.Channel, deadline: float) -> None:
        self._channel = channel
        self._deadline = deadline

    def makefile(self, *_: Any) -> io.BufferedReader:
        """What `HTTPResponse` asks of a socket."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """As `BufferedReader` wants it."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read what is there, waiting no longer than until the deadline."""
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        self._channel.settimeout(remaining)
        view = memoryview(buffer).cast("B")
        received = self._channel.recv(len(view))
        view[: len(received)] = received
        return len(received)
