"""One practice host: what it is made of, its power, and a shell on it that is not SSH."""

from __future__ import annotations

import socket
import subprocess
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from lab import containers, disks, keys
from lab.layout import HostLayout, LabLayout
from lab.machine import environment, run, until_it_works
from quoracy.errors import CommandFailed, QuoracyError

_SSH_PORT = 22
#: Seconds from power on until sshd must answer; it takes about one, more when all boot at once.
_BOOT_SECONDS = 60.0
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class LabHost:
    """A practice host; its state is asked of the kernel each time, never remembered."""

    name: str
    address: str
    directory: Path
    namespace: str
    veth: str

    @classmethod
    def of(cls, layout: HostLayout, lab_directory: Path) -> LabHost:
        """Return the host of a layout, which lives below its lab's directory."""
        directory = lab_directory / "hosts" / layout.name
        address = str(layout.address)
        return cls(layout.name, address, directory, layout.namespace, layout.veth)

    @property
    def root(self) -> Path:
        """Return the host's root file system; it is there while the host is off, too."""
        return disks.root(self.directory)

    @property
    def console(self) -> Path:
        """Return the file that keeps what the host wrote to its console."""
        return self.directory / "console.log"

    @property
    def leader(self) -> int | None:
        """Return the process id of the host's init on this machine; None when it is off."""
        return containers.leader(self.name)

    @property
    def state(self) -> str:
        """Return `running`, `paused` or `off`."""
        if self.leader is None:
            return "off"
        return "paused" if containers.is_frozen(self.name) else "running"

    def power_on(self, base: Path) -> None:
        """Boot the host without waiting for sshd; nothing happens when it is on."""
        if self.leader is None:
            containers.kill(self.name)
            disks.mount(self.directory, base)
            containers.start(self.name, self.root, self.namespace, self.console)

    def power_off(self) -> None:
        """Cut the power: every process dies at once, the disk stays as it is."""
        containers.kill(self.name)

    def pause(self) -> None:
        """Stop all processes of the host at once; nothing happens when it is off."""
        containers.freeze(self.name, True)

    def resume(self) -> None:
        """Let all processes of the host go on; nothing happens when it is off."""
        containers.freeze(self.name, False)

    def wait_for_ssh(self) -> None:
        """Return when sshd greets.

        Raises:
            QuoracyError: It did not within a minute, or the host went down meanwhile.
        """
        deadline = time.monotonic() + _BOOT_SECONDS
        while not self._greets():
            # Not the init, which is gone for a moment while the host reboots itself.
            if not containers.is_populated(self.name) or time.monotonic() > deadline:
                raise QuoracyError(
                    "sshd does not answer", where=self.name, next_step=f"read {self.console}"
                )
            time.sleep(0.05)

    def _greets(self) -> bool:
        try:
            with socket.create_connection((self.address, _SSH_PORT), timeout=1.0) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def shell(self, script: str, *, timeout: float = 60.0) -> bytes:
        """Run a shell script as the host's root, past network and sshd; return its output.

        Raises:
            CommandFailed: It exited non-zero; 124 when it did not end in `timeout` seconds.
            QuoracyError: The host is off.
        """
        pid = self.leader
        if pid is None:
            raise QuoracyError("the host is off", where=self.name, next_step="power it on")
        enter = ("nsenter", f"--target={pid}", "--all", "--", "env", "-i", "HOME=/root", _PATH)
        # `timeout` on the host, as killing nsenter here would leave the script running there.
        bounded = ("timeout", "-k", "2", f"{timeout:g}", "sh", "-c", script)
        done = subprocess.run(
            (*enter, *bounded),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment(),
            check=False,
        )
        if done.returncode:
            raise CommandFailed(
                repr(script),
                where=self.name,
                exit_code_remote=done.returncode,
                stderr=done.stderr.decode(errors="replace"),
            )
        return done.stdout


def create(host: LabHost, lab: LabLayout, base: Path, authorized_key: str) -> str:
    """Make a host's disk with its identity on it and return its public host key."""
    disks.create(host.directory)
    root = disks.mount(host.directory, base)
    key = keys.new_key()
    keys.write_private(root / "etc/ssh/ssh_host_ed25519_key", key.private)
    (root / "etc/ssh/ssh_host_ed25519_key.pub").write_text(key.public + "\n")
    keys.write_private(root / "root/.ssh/authorized_keys", authorized_key.encode())
    (root / "etc/hostname").write_text(host.name + "\n")
    (root / "etc/machine-id").write_text(uuid.uuid4().hex + "\n")
    (root / "etc/hosts").write_text(_hosts_file(lab))
    return key.public


def destroy(name: str, directory: Path) -> None:
    """Stop a host and take away what it had on this machine but its network and its files."""

    def take_away() -> None:
        containers.kill(name)
        disks.unmount_below(directory)
        containers.forget(name)

    until_it_works(take_away)


def _hosts_file(lab: LabLayout) -> str:
    lines = [f"{host.address} {host.name}\n" for host in lab.hosts]
    return "".join(["127.0.0.1 localhost\n", f"{lab.controller} controller\n", *lines])


def in_namespace(host: LabHost, command: tuple[str, ...], *, what: str, stdin: bytes = b"") -> None:
    """Run a program of this machine in the network of a host, whether the host is on or off."""
    enter = ("nsenter", f"--net=/run/netns/{host.namespace}", "--")
    run((*enter, *command), what=f"{what} on {host.name}", stdin=stdin)
