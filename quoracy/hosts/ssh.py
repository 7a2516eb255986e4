"""The `Host` protocol over SSH, with fabric and paramiko.

By themselves these accept any host key, read the user's ssh_config, leave TCP_NODELAY unset (a command takes
48 ms instead of 5 ms) and wait without end; all of that is set right where a connection is made.
"""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import paramiko
from fabric import Config, Connection
from paramiko.pkey import UnknownKeyType

from quoracy.aside import pause, require_uncut
from quoracy.errors import HostUnreachable, QuoracyError, RemoteError, UsageError
from quoracy.hosts import http
from quoracy.hosts.command import whole_seconds
from quoracy.hosts.exchange import Exchange, started
from quoracy.hosts.host import HttpAnswer
from quoracy.hosts.sessions import CONNECTION_ERRORS, Sessions
from quoracy.hosts.shell import ShellHost
from quoracy.hosts.targets import SshTarget
from quoracy.hosts.trust import RefuseUnknownKey, changed_key, read_known_hosts

CHANNELS_PER_CONNECTION = 8  # sshd's MaxSessions is 10, and one more is opened ahead
CONNECT_ATTEMPTS = 3
KEEPALIVE_SECONDS = 15
UNACKNOWLEDGED_MS = 30_000  # TCP gives up when data, such as a keepalive, got no answer for so long
GRACE_SECONDS = 10.0  # how much longer than the host's own limit the controller waits


class SshHost(ShellHost):
    """A host reached over one SSH connection, which all threads of the process share.

    The connection is made on first use, and made again on the next use after it broke. A command that
    was under way when it broke is never repeated: nobody knows how far it came.

    Args:
        target: How the host is reached.
        connect_timeout: Seconds for each of: TCP connect, banner, key exchange, login, opening a channel.
    """

    def __init__(self, target: SshTarget, *, connect_timeout: float = 10.0) -> None:
        super().__init__(target.name, target.user)
        self._target = target
        self._connect_timeout = connect_timeout
        gateway = target.gateway
        self._gateway = SshHost(gateway, connect_timeout=connect_timeout) if gateway else None
        self._connection: Any = None  # fabric has no types
        self._opening = threading.Lock()
        self._slots = threading.BoundedSemaphore(CHANNELS_PER_CONNECTION)
        self._sessions = Sessions(connect_timeout)
        self._closed = False

    def open(self) -> paramiko.Transport:
        """Connect and log in unless that is done; every other method does it by itself.

        Raises:
            HostKeyRejected: The key of the host, or of a gateway, is unknown or has changed.
            HostUnreachable: No connection could be made, or the login was refused.
        """
        with self._opening:
            if self._closed:
                raise HostUnreachable("this process has closed its connection", where=self.name)
            if self._connection is None or not self._connection.is_connected:
                self._connection = self._connected()
            transport: paramiko.Transport = self._connection.transport
            return transport

    def close(self) -> None:
        """Close the connection and that to the gateway; the host may not be used afterwards."""
        with self._opening:
            self._closed = True
            if self._connection is not None:
                self._connection.client.close()
        if self._gateway is not None:
            self._gateway.close()

    def tunnel(self, address: str, port: int) -> paramiko.Channel:
        """Open a TCP connection from the host to an address that it can reach.

        Raises:
            HostUnreachable: The host could not be reached, or could not reach that address.
        """
        transport = self.open()
        try:
            return transport.open_channel(
                "direct-tcpip", (address, port), ("127.0.0.1", 0), timeout=self._connect_timeout
            )
        except CONNECTION_ERRORS as error:
            raise HostUnreachable(
                f"no connection from it to {address} port {port}: {_said(error)}",
                where=self.name,
                next_step="check that it can reach that address and that its sshd allows forwarding",
            ) from error

    def http_get(
        self,
        port: int,
        path: str,
        *,
        timeout: float = 5.0,
        address: str = "127.0.0.1",
        virtual_host: str = "",
    ) -> HttpAnswer:
        """Ask a server there by HTTP, through the same connection; see `Host.http_get`."""
        return http.get(
            self.open(),
            (address, port),
            path,
            timeout=timeout,
            where=self.name,
            virtual_host=virtual_host,
        )

    def require_forwarding(
        self, port: int, *, timeout: float = 5.0, address: str = "127.0.0.1"
    ) -> None:
        """Return when sshd lets requests through to a port; see `Host.require_forwarding`."""
        http.require_forwarding(self.open(), (address, port), timeout=timeout, where=self.name)

    @contextmanager
    def _exchange(self, line: str, what: str, timeout: float) -> Iterator[Exchange]:
        require_uncut()  # a script that waits for its input starts before the first byte of it
        limit = whole_seconds(timeout) + GRACE_SECONDS
        with (
            self._channel(what, timeout) as channel,
            started(
                channel, line, what=what, where=self.name, limit=limit, broken=paramiko.SSHException
            ) as exchange,
        ):
            yield exchange

    @contextmanager
    def _channel(self, what: str, timeout: float) -> Iterator[paramiko.Channel]:
        if not self._slots.acquire(timeout=timeout):
            raise RemoteError(
                f"{what} was not started: {CHANNELS_PER_CONNECTION} others held the connection",
                where=self.name,
                next_step="run it again when they are done",
            )
        try:
            channel = self._session(what)
            try:
                yield channel
            finally:
                with suppress(EOFError):  # paramiko's, once the transport is closed
                    channel.close()
        finally:
            self._slots.release()

    def _session(self, what: str) -> paramiko.Channel:
        transport = self.open()
        try:
            return self._sessions.take(transport)
        except CONNECTION_ERRORS as error:
            raise HostUnreachable(
                f"{what} was not started: no channel could be opened: {_said(error)}",
                where=self.name,
                next_step="check the host and its sshd (MaxSessions), then run it again",
            ) from error

    def _connected(self) -> Any:
        for attempt in range(1, CONNECT_ATTEMPTS + 1):
            connection = self._prepared()
            try:
                connection.open()
                connection.transport.set_keepalive(KEEPALIVE_SECONDS)
                self._sessions.open_ahead(connection.transport)
                return connection
            except CONNECTION_ERRORS as error:
                if attempt == CONNECT_ATTEMPTS or not _was_dropped(error, connection):
                    raise _explained(error, self._target) from error
            finally:
                if not connection.is_connected:
                    connection.client.close()
            # sshd drops connections at random when many log in at once (MaxStartups): spread them out.
            pause(attempt * random.uniform(0.2, 0.6))  # noqa: S311 - not for secrets
        raise AssertionError("the last attempt returns or raises")

    def _prepared(self) -> Any:
        """Return a connection that is not open yet and trusts only what known_hosts holds."""
        target = self._target
        known = read_known_hosts(Path(target.known_hosts).expanduser())
        connection = Connection(
            target.address,
            user=target.user,
            port=target.port,
            # An empty ssh_config and no files of fabric's: nothing on the controller redirects a target.
            config=Config(ssh_config=paramiko.SSHConfig(), lazy=True),
            forward_agent=False,
            connect_kwargs=self._connect_options(),
        )
        connection.client.set_missing_host_key_policy(RefuseUnknownKey(target))
        for host in known:
            for key in known[host].values():
                connection.client.get_host_keys().add(host, key.get_name(), key)
        return connection

    def _connect_options(self) -> dict[str, Any]:
        target, seconds = self._target, self._connect_timeout
        options: dict[str, Any] = dict.fromkeys(
            ("timeout", "banner_timeout", "auth_timeout", "channel_timeout"), seconds
        )
        options |= {"allow_agent": target.key_file is None, "look_for_keys": False}
        options["transport_factory"] = _tuned_transport
        if target.key_file is not None:
            options["pkey"] = _private_key(target.key_file)
        if self._gateway is not None:
            options["sock"] = self._gateway.tunnel(target.address, target.port)
        return options


def _tuned_transport(connection: Any, **options: Any) -> paramiko.Transport:
    if isinstance(connection, socket.socket):  # behind a gateway it is a channel
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)
    return paramiko.Transport(connection, **options)


def _private_key(path: str) -> paramiko.PKey:
    try:
        return paramiko.PKey.from_path(path)
    except (
        OSError,
        ValueError,
        TypeError,
        paramiko.SSHException,
        UnknownKeyType,
    ) as error:
        raise UsageError(
            f"the private key cannot be read: {error}",
            where=path,
            next_step="name a key without passphrase, or none to use the SSH agent",
        ) from error


def _was_dropped(error: Exception, connection: Any) -> bool:
    """Whether the server hung up before the login began: a reset, or no banner."""
    transport = connection.client.get_transport()
    no_banner = transport is not None and not transport.remote_version
    return no_banner or isinstance(error, EOFError | ConnectionResetError | BrokenPipeError)


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


def _explained(error: Exception, target: SshTarget) -> QuoracyError:
    if isinstance(error, paramiko.BadHostKeyException):
        return changed_key(target, error)
    address = f"{target.address} port {target.port}"
    if isinstance(error, paramiko.AuthenticationException):
        key = target.key_file or "the keys of the SSH agent"
        return HostUnreachable(
            f"{address} refused the login of {target.user} with {key}: {_said(error)}",
            where=target.name,
            next_step="put the public key into the login's authorized_keys, or name another key",
        )
    return HostUnreachable(
        f"no SSH connection to {address}: {_said(error)}",
        where=target.name,
        next_step="check the address, the port, the network and that sshd runs",
    )
