"""Host keys: read one from a host, and record it as trusted after somebody has looked at it."""

from __future__ import annotations

import logging
import shlex
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Never

import paramiko
from paramiko.hostkeys import HostKeys, InvalidHostKey

from quoracy.durable import locked, make_directory, write_file
from quoracy.errors import HostKeyRejected, HostUnreachable, Refused, UsageError
from quoracy.hosts.targets import SshTarget

# paramiko logs each failed handshake as an error with its traceback, although the failure is raised as well, here as
# an error that a user can read. Whoever wants to see it sets the level of this logger.
if logging.getLogger("paramiko").level == logging.NOTSET:
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)

SSH_PORT = 22


@dataclass(frozen=True, slots=True)
class HostKey:
    """A host's public key.

    Args:
        type: As in known_hosts, `ssh-ed25519`.
        base64: The key.
        fingerprint: `SHA256:…`, as ssh and ssh-keygen show it.
    """

    type: str
    base64: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """One line of a known_hosts file; `host` is `address`, `[address]:port` or a hashed name."""

    host: str
    key: HostKey


def host_key_of(key: paramiko.PKey) -> HostKey:
    """Describe a key of paramiko's."""
    return HostKey(key.get_name(), key.get_base64(), key.fingerprint)


def known_hosts_name(address: str, port: int) -> str:
    """Name a host as OpenSSH does in known_hosts: with its port unless that is 22."""
    return address if port == SSH_PORT else f"[{address}]:{port}"


def trust_command(address: str, port: int, known_hosts: str | Path) -> str:
    """Return the command that a user runs to trust a host's key."""
    port_option = () if port == SSH_PORT else ("--port", str(port))
    return shlex.join(
        ("quoracy", "host", "trust", address, *port_option, "--known-hosts", str(known_hosts))
    )


def _removal(host: str, known_hosts: str | Path) -> str:
    return shlex.join(("ssh-keygen", "-R", host, "-f", str(known_hosts)))


class RefuseUnknownKey(paramiko.RejectPolicy):
    """Refuse a host whose key is not in its known_hosts file, and say how to trust it."""

    def __init__(self, target: SshTarget) -> None:
        self._target = target

    def missing_host_key(
        self,
        client: paramiko.SSHClient,  # noqa: ARG002 - paramiko's signature
        hostname: str,
        key: paramiko.PKey,
    ) -> Never:
        """Raise; paramiko asks before it logs in."""
        target = self._target
        raise HostKeyRejected(
            f"the host key of {hostname} is not known: {key.get_name()} {key.fingerprint}",
            where=target.name,
            next_step=trust_command(target.address, target.port, target.known_hosts),
        )


def changed_key(target: SshTarget, error: paramiko.BadHostKeyException) -> HostKeyRejected:
    """Tell that a host's key is another than the trusted one."""
    host = known_hosts_name(target.address, target.port)
    return HostKeyRejected(
        f"the host key of {host} has changed: trusted is {error.expected_key.fingerprint}, "
        f"offered was {error.key.fingerprint}",
        where=target.name,
        next_step="find out why; if the host was reinstalled: "
        f"{_removal(host, target.known_hosts)}, then "
        f"{trust_command(target.address, target.port, target.known_hosts)}",
    )


def fetch_host_key(address: str, port: int = SSH_PORT, timeout: float = 10.0) -> HostKey:
    """Ask a host for its key (ed25519 when it has one), without trusting it or logging in.

    Raises:
        HostUnreachable: No SSH server answered there within `timeout` seconds.
    """
    try:
        with socket.create_connection((address, port), timeout=timeout) as connection:
            return _negotiated_key(connection, timeout)
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise HostUnreachable(
            f"no host key could be read from port {port}: {error or type(error).__name__}",
            where=address,
            next_step="check the address, the port and that sshd runs there",
        ) from error


def _negotiated_key(connection: socket.socket, timeout: float) -> HostKey:
    transport = paramiko.Transport(connection)
    transport.banner_timeout = timeout
    options = transport.get_security_options()
    options.key_types = sorted(options.key_types, key=lambda name: name != "ssh-ed25519")
    try:
        transport.start_client(timeout=timeout)
        return host_key_of(transport.get_remote_server_key())
    finally:
        transport.close()


def trusted_keys(known_hosts: Path) -> list[TrustedKey]:
    """List the keys in a known_hosts file; a file that does not exist trusts none.

    Raises:
        UsageError: The file cannot be read or holds a line that is not a host key.
    """
    keys = read_known_hosts(known_hosts)
    return [TrustedKey(host, host_key_of(key)) for host in keys for key in keys[host].values()]


def read_known_hosts(known_hosts: Path) -> HostKeys:
    """Read a known_hosts file; a file that does not exist trusts no host.

    Raises:
        UsageError: The file cannot be read or holds a line that is not a host key.
    """
    keys = HostKeys()
    try:
        keys.load(str(known_hosts))
    except FileNotFoundError:
        return keys
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot be read: {error}", where=str(known_hosts)) from error
    except (InvalidHostKey, paramiko.SSHException) as error:
        raise UsageError(
            f"holds a line that is not a host key: {error}",
            where=str(known_hosts),
            next_step="correct or remove that line",
        ) from error
    return keys


def trust(known_hosts: Path, address: str, port: int, key: HostKey) -> bool:
    """Record a host's key as trusted, in OpenSSH's format; other lines stay as they are.

    Returns:
        Whether the key was added; False when it was there already.

    Raises:
        Refused: Another key is recorded for this host: it has changed, or somebody stands in between.
    """
    known_hosts = known_hosts.resolve()  # a link stays a link: its target is replaced
    make_directory(known_hosts.parent)
    host = known_hosts_name(address, port)
    with locked(known_hosts.with_name(f".{known_hosts.name}.lock")):
        recorded = read_known_hosts(known_hosts).lookup(host)
        if recorded is not None:
            _require_same(host, [host_key_of(one) for one in recorded.values()], key, known_hosts)
            return False
        present = known_hosts.read_text() if known_hosts.exists() else ""
        if present and not present.endswith("\n"):
            present += "\n"
        line = f"{host} {key.type} {key.base64}\n"
        write_file(known_hosts, (present + line).encode(), mode=0o600)
    return True


def _require_same(host: str, recorded: list[HostKey], key: HostKey, known_hosts: Path) -> None:
    # A key of another type is another key: who is in between would simply offer one of a type not yet seen.
    if key in recorded:
        return
    known = ", ".join(one.fingerprint for one in recorded)
    raise Refused(
        f"offers the key {key.fingerprint}, but {known} is trusted for it",
        where=host,
        next_step=f"find out why; if the host was reinstalled: {_removal(host, known_hosts)}, then trust it again",
    )
