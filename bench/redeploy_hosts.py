"""The hosts of `make bench-redeploy`: one for each side, and how far away they seem."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.relay import Target, relay
from lab.debian import download, find_mirror
from lab.keys import known_hosts_line
from lab.lab import Lab
from lab.machine import run

#: What rsync needs beside the hosts' base.
_RSYNC = ("rsync", "libpopt0", "libxxhash0")
USER = "appuser"
SSH_PORT = 22
#: As Quoracy's own unit has it, so that all sides restart the same thing.
_UNIT = """\
[Unit]
After=network.target
# Redeployments in a row come faster than systemd lets a unit start by itself.
StartLimitIntervalSec=0
[Service]
Type=exec
User={user}
WorkingDirectory={directory}
ExecStart=/usr/bin/node {directory}/index.js
Environment=PORT={port}
Restart=always
RestartSec=1
KillMode=mixed
TimeoutStopSec=10
[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True, slots=True)
class Reach:
    """How one side reaches its host over SSH.

    Attributes:
        address: Of the host, or of the relay in front of it; `port` likewise.
        known_hosts: File that trusts the host's key under this address and port.
    """

    host: str
    address: str
    port: int
    key_file: Path
    known_hosts: Path

    def options(self, *more: str) -> tuple[str, ...]:
        """Options of ssh(1) for it, without the port: that of a person with a configured key."""
        settings = (
            f"UserKnownHostsFile={self.known_hosts}",
            "IdentitiesOnly=yes",
            "BatchMode=yes",
            *more,
        )
        return ("-F", "none", *(word for setting in settings for word in ("-o", setting)))


def prepare_hosts(lab: Lab, numbers: tuple[int, ...]) -> None:
    """Give hosts rsync, as far as they have none, and the user that the service runs as."""
    with tempfile.TemporaryDirectory(prefix="quoracy-bench-") as workspace:
        packages = download(find_mirror(), "bookworm", _RSYNC, Path(workspace))
        for number in numbers:
            host = lab.hosts[number]
            for package in packages:
                files = run(("dpkg-deb", "--fsys-tarfile", str(package)), what="reading a package")
                # /lib is a link on the hosts, and a directory in older packages.
                unpack = ("tar", "-x", "--keep-directory-symlink", "-C", str(host.root))
                run(unpack, what=f"installing rsync on {host.name}", stdin=files)
            lab.shell(host.name, f"id -u {USER} >/dev/null || useradd --system --user-group {USER}")


def write_unit(lab: Lab, host: str, name: str, directory: str, port: int) -> None:
    """Give a host the unit of a service that is deployed without Quoracy."""
    root = lab.host(host).root
    text = _UNIT.format(user=USER, directory=directory, port=port)
    (root / f"etc/systemd/system/{name}.service").write_text(text)
    lab.shell(host, f"systemctl daemon-reload && systemctl enable --quiet {name}.service")


@contextmanager
def reaches(lab: Lab, directory: Path, round_trip_s: float) -> Iterator[tuple[Reach, ...]]:
    """All hosts at a distance: directly, or through a relay each while the block runs."""
    with ExitStack() as stack:
        found = []
        for host in lab.hosts:
            if round_trip_s == 0:
                place = (host.address, SSH_PORT)
            else:
                target = Target(host.address, SSH_PORT, round_trip_s)
                place = ("127.0.0.1", stack.enter_context(relay(target)))
            found.append(
                Reach(host.name, *place, lab.key_file, _trust(lab, host.address, place, directory))
            )
        yield tuple(found)


def _trust(lab: Lab, address: str, place: tuple[str, int], directory: Path) -> Path:
    """A known_hosts file that has the host's key under the relay's address."""
    if place == (address, SSH_PORT):
        return lab.known_hosts
    lines = [line.split(" ", 1) for line in lab.known_hosts.read_text().splitlines()]
    public = next(key for name, key in lines if name == address)
    file = directory / f"known_hosts-{place[1]}"
    file.write_text(known_hosts_line(f"[{place[0]}]:{place[1]}", public))
    return file
