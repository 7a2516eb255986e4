"""SSH keys of a lab: made here, so that the trusted host keys are right by construction."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An Ed25519 key: the private half as OpenSSH's PEM, the public half as one line."""

    private: bytes
    public: str


def new_key() -> KeyPair:
    """Make a new key."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return KeyPair(private, public.decode())


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, at no moment anyone else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def known_hosts_line(address: str, public: str) -> str:
    """Return the line of a known_hosts file that trusts a host's key (sshd(8))."""
    return f"{address} {public}\n"
