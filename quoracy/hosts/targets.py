"""How a host is reached: what a spec says of it, and what a transport needs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import Field

from quoracy.specs.fields import Address, LocalPath, Login, Model, Port


@dataclass(frozen=True, slots=True)
class SshTarget:
    """Everything a transport needs to reach one host.

    Args:
        name: The host's name in the spec; unique within a cluster.
        address: IP address or DNS name that SSH connects to.
        port: TCP port of sshd.
        user: Login; anything but root needs passwordless sudo.
        key_file: Private key on the controller; None uses the SSH agent.
        known_hosts: File of trusted host keys on the controller.
        gateway: A host that connections go through; it obeys the same host key rule.
    """

    name: str
    address: str
    port: int
    user: str
    key_file: str | None
    known_hosts: str
    gateway: SshTarget | None = None


class Ssh(Model):
    """How hosts are reached; a host's own block wins over the cluster's, key by key."""

    user: Login | None = Field(
        None, description="Login; anything but root needs passwordless sudo. Default: root."
    )
    port: Port | None = Field(None, description="TCP port of sshd. Default: 22.")
    key_file: LocalPath | None = Field(
        None, description="Private key on the controller. Default: the SSH agent."
    )
    known_hosts: LocalPath | None = Field(
        None, description="Trusted host keys. Default: known_hosts in QUORACY_HOME."
    )
    gateway: Address | None = Field(
        None, description="Host that connections go through (same user, port and key)."
    )


class HasSsh(Protocol):
    """A host as a spec describes it."""

    @property
    def name(self) -> str:
        """Unique within the spec."""

    @property
    def address(self) -> str:
        """Where SSH reaches it."""

    @property
    def ssh(self) -> Ssh:
        """What differs from the other hosts."""


class HasHosts(Protocol):
    """What a spec describes: a cluster, a service."""

    @property
    def hosts(self) -> Sequence[HasSsh]:
        """Its hosts."""

    @property
    def ssh(self) -> Ssh:
        """How all of them are reached."""


def ssh_targets(subject: HasHosts, *, default_known_hosts: str) -> tuple[SshTarget, ...]:
    """How each host of what a spec describes is reached, in the spec's order."""
    targets = []
    for host in subject.hosts:
        own, common = host.ssh, subject.ssh
        user = own.user or common.user or "root"
        port = own.port or common.port or 22
        key_file = own.key_file or common.key_file
        known_hosts = own.known_hosts or common.known_hosts or default_known_hosts
        via = own.gateway or common.gateway
        gateway = SshTarget(via, via, port, user, key_file, known_hosts) if via else None
        targets.append(
            SshTarget(host.name, host.address, port, user, key_file, known_hosts, gateway)
        )
    return tuple(targets)
