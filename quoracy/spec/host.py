"""How a host is reached."""

from __future__ import annotations

from dataclasses import dataclass


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
