"""What the fixtures are made of: sshd with keys and configuration of its own, a relay, processes."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from quoracy.hosts.targets import SshTarget

SSHD = "/usr/sbin/sshd"


@dataclass(frozen=True, slots=True)
class Sshd:
    """A running sshd.

    Args:
        port: On 127.0.0.1.
        key_file: A private key that may log in as root.
        known_hosts: A file that trusts this sshd.
        process: The listening process; logins are its children.
        log: What sshd has written.
    """

    port: int
    key_file: Path
    known_hosts: Path
    process: subprocess.Popen[bytes]
    log: Path

    def target(
        self,
        name: str = "one",
        *,
        user: str = "root",
        known_hosts: Path | None = None,
        gateway: SshTarget | None = None,
    ) -> SshTarget:
        return SshTarget(
            name=name,
            address="127.0.0.1",
            port=self.port,
            user=user,
            key_file=str(self.key_file),
            known_hosts=str(known_hosts or self.known_hosts),
            gateway=gateway,
        )


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def make_key(path: Path) -> Path:
    subprocess.run(
        ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)), check=True
    )
    return path


def write_config(directory: Path, port: int, *settings: str) -> Path:
    make_key(directory / "host_key")
    make_key(directory / "login_key")
    shutil.copy(directory / "login_key.pub", directory / "authorized_keys")
    config = directory / "sshd_config"
    lines = (
        *settings,
        # Not the login's own .bashrc, which may take longer than all of a test.
        f"SetEnv HOME={directory}",
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        f"HostKey {directory}/host_key",
        f"AuthorizedKeysFile {directory}/authorized_keys",
        "PidFile none",
        "PermitRootLogin prohibit-password",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "UsePAM no",
        "StrictModes no",
        "MaxSessions 10",
    )
    config.write_text("\n".join(lines) + "\n")
    return config


def wait_until_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(500):
        if process.poll() is not None:
            pytest.fail(f"sshd ended with {process.returncode}: {log.read_text()}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    pytest.fail(f"sshd does not listen: {log.read_text()}")


def processes() -> dict[int, tuple[int, str, str]]:
    """Every process by pid: its parent, its state, its command line."""
    found = {}
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            stat = (directory / "stat").read_text().rpartition(")")[2].split()
            command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError):
            continue
        found[int(directory.name)] = (int(stat[1]), stat[0], command)
    return found


def is_running(pid: int) -> bool:
    return processes().get(pid, (0, "Z", ""))[1] not in "ZX"


def wait_for(condition: Callable[[], bool], what: str) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail(f"waited 10 s in vain: {what}")


class Relay:
    """A TCP relay to a port that first hangs up on some connections, and counts all."""

    def __init__(self, port: int, *, hang_up_on: int = 0) -> None:
        self.connections = 0
        self._target = port
        self._hang_up_on = hang_up_on
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._server = threading.Thread(target=self._serve, daemon=True)
        self._server.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._server.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            if self.connections <= self._hang_up_on:
                client.close()
                continue
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._target)) as server:
            back = threading.Thread(target=self._copy, args=(server, client), daemon=True)
            back.start()
            self._copy(client, server)
            back.join()

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)
        except OSError:
            return
