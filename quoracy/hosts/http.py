"""One HTTP request through an SSH connection, with an end to its patience and its memory."""

from __future__ import annotations

import io
import time
from contextlib import closing
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Any

import paramiko

from quoracy.errors import ForwardingForbidden, HostUnreachable
from quoracy.hosts.host import MAX_BODY_BYTES, HttpAnswer

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# Reason codes of RFC 4254, 5.1. sshd gives the first for AllowTcpForwarding, DisableForwarding, PermitOpen
# and the options of a key; servers that cannot forward at all give the third.
_PROHIBITED, _CONNECT_FAILED, _UNKNOWN_CHANNEL = 1, 2, 3


def get(
    transport: paramiko.Transport,
    server: tuple[str, int],
    path: str,
    *,
    timeout: float,
    where: str,
    virtual_host: str = "",
) -> HttpAnswer:
    """Ask a server for a path; see `Host.http_get`.

    Args:
        server: Address and port, seen from the host.
        timeout: Seconds for everything together: a server may send a byte a second.
        where: The host's name.

    Raises:
        ForwardingForbidden: sshd forbids to forward.
        HostUnreachable: The SSH connection is gone.
    """
    deadline = time.monotonic() + timeout
    channel = _opened(transport, server, timeout=timeout, where=where)
    if isinstance(channel, HttpAnswer):
        return channel
    with closing(channel):
        authority = virtual_host or _authority(*server)
        answer = _asked(channel, authority, path, deadline, timeout)
    return answer if answer.status else _unless_broken(transport, where, answer.problem)


def require_forwarding(
    transport: paramiko.Transport, server: tuple[str, int], *, timeout: float, where: str
) -> None:
    """See `Host.require_forwarding`; a server that listens sees a connection that says nothing."""
    channel = _opened(transport, server, timeout=timeout, where=where)
    if not isinstance(channel, HttpAnswer):
        channel.close()


def _opened(
    transport: paramiko.Transport, server: tuple[str, int], *, timeout: float, where: str
) -> paramiko.Channel | HttpAnswer:
    """A connection from the host to the server, or why nobody took it."""
    try:
        return transport.open_channel("direct-tcpip", server, ("127.0.0.1", 0), timeout=timeout)
    except paramiko.ChannelException as error:
        if error.code == _CONNECT_FAILED:
            return HttpAnswer(0, b"", f"nobody takes connections: {error.text}")
        address = f"{server[0]} port {server[1]}"
        if error.code in (_PROHIBITED, _UNKNOWN_CHANNEL):
            raise ForwardingForbidden(
                f"its sshd forbids to connect to {address}: {error.text}",
                where=where,
                next_step="allow it in its sshd_config: AllowTcpForwarding local, no DisableForwarding, "
                f"and {server[0]}:{server[1]} in PermitOpen where that is used",
            ) from error
        raise HostUnreachable(
            f"its sshd did not connect to {address}: {error.text}",
            where=where,
            next_step="check the host and its sshd, then run it again",
        ) from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        return _unless_broken(transport, where, f"no connection within {timeout:g} s: {error}")


def _authority(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _unless_broken(transport: paramiko.Transport, where: str, problem: str) -> HttpAnswer:
    if not transport.is_active():
        raise HostUnreachable(
            f"the connection broke: {problem}",
            where=where,
            next_step="check the host, run it again",
        )
    return HttpAnswer(0, b"", problem)


def _asked(
    channel: paramiko.Channel, authority: str, path: str, deadline: float, timeout: float
) -> HttpAnswer:
    """The answer; whatever goes wrong on the way is its `problem`."""
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
