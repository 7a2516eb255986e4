"""What a machine says about itself: system, clock, disks, listening ports, and the guard's traces."""

from __future__ import annotations

import base64
import io
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quoracy.commands.guard import state_dir
from quoracy.facts.question import Answer


@dataclass(frozen=True, slots=True)
class GuardFacts:
    """Who changed the cluster on this host last: holder, fencing number, seconds since the epoch."""

    holder: str
    fence: int
    time_s: int


@dataclass(frozen=True, slots=True)
class HostFacts:
    """The machine, apart from any cluster.

    Attributes:
        clock_s: The host's clock, seconds since the epoch.
        uptime_s: Seconds since boot.
        free_bytes: Free bytes of the file system that holds each path, by path.
        listening: TCP ports that something listens on.
        guard: None when no operation has ever changed this cluster here.
        systemd: Whether systemd runs the machine.
        bus: Whether D-Bus's system bus is there.
    """

    os_name: str
    architecture: str
    clock_s: float
    uptime_s: float
    boot_id: str
    free_bytes: Mapping[str, int]
    listening: frozenset[int]
    guard: GuardFacts | None
    systemd: bool = True
    bus: bool = True


@dataclass(frozen=True, slots=True)
class HostSilent:
    """A host that could not be asked; it counts as down, never as fine.

    Attributes:
        next_step: What the user does about it; may be empty.
    """

    reason: str
    next_step: str = ""


def host_questions(cluster: str, paths: Sequence[str]) -> dict[str, str]:
    """Questions about the machine; `paths` need not exist, their nearest parent is measured."""
    existing = "\n".join(
        f"p={path}; while [ ! -e $p ]; do p=${{p%/*}}; p=${{p:-/}}; done; set -- $@ $p"
        for path in paths
    )
    shown = "\n".join(f"read -r _ _ _ free _; echo {path}=$free" for path in paths)
    return {
        "system": (
            ". /etc/os-release; echo os=$PRETTY_NAME; echo arch=$(uname -m); "
            "echo clock=$(date +%s.%N); read -r up _ < /proc/uptime; echo uptime=$up; "
            "read -r boot < /proc/sys/kernel/random/boot_id; echo boot=$boot; "
            # sd_booted(3)
            "[ -d /run/systemd/system ] || echo systemd=no; "
            # Where all of systemd looks for it.
            "[ -S /run/dbus/system_bus_socket ] || echo bus=no"
        ),
        "disks": f"{existing}\ndf -Pk $@ | {{ read -r header\n{shown}\n}}",
        "ports": "cat /proc/net/tcp /proc/net/tcp6",
        "guard": f"read -r guard < {state_dir(cluster)}/fence && echo $guard",
    }


def parse_host(answers: Mapping[str, Answer]) -> HostFacts:
    """The answers to `host_questions`."""
    system = answers["system"].pairs
    return HostFacts(
        os_name=system["os"],
        architecture=system["arch"],
        clock_s=float(system["clock"]),
        uptime_s=float(system["uptime"]),
        boot_id=system["boot"],
        free_bytes={path: int(kib) * 1024 for path, kib in answers["disks"].pairs.items()},
        listening=_listening_ports(answers["ports"].lines),
        guard=_guard(answers["guard"].lines),
        systemd=system.get("systemd") != "no",
        bus=system.get("bus") != "no",
    )


def files_question(paths: Sequence[str], also: str) -> str:
    """Question for the content of files and the targets of links; patterns are allowed.

    One tar of them all: a process per file would cost more than the files. Missing ones are left out.

    Args:
        paths: In directories where only root writes: it would read through links of others.
        also: A command that makes another tar, of files that are somebody else's, as that user.
    """
    return f"{{ tar -cf - {' '.join(paths)}; {also}; }} | base64 -w0"


def parse_files(answer: Answer) -> tuple[dict[str, bytes], dict[str, str]]:
    """Content by path, and link target by path."""
    contents: dict[str, bytes] = {}
    links: dict[str, str] = {}
    told = io.BytesIO(base64.b64decode(answer.text))
    # Uncompressed, and no file is larger than what was told: neither gzip nor holes may make more of it.
    with tarfile.open(fileobj=told, mode="r:", ignore_zeros=True) as archive:
        for member in archive:
            path = f"/{member.name}"
            if member.issym():
                links[path] = member.linkname
            elif member.isreg() and not member.issparse():
                content = archive.extractfile(member)
                contents[path] = content.read() if content else b""
    return contents, links


def _listening_ports(lines: Sequence[str]) -> frozenset[int]:
    """Ports of the sockets in state LISTEN (0A) of /proc/net/tcp and tcp6."""
    fields = (line.split() for line in lines)
    return frozenset(
        int(words[1].rsplit(":", 1)[1], 16)
        for words in fields
        if len(words) > 3 and words[3] == "0A"
    )


def _guard(lines: Sequence[str]) -> GuardFacts | None:
    if not lines:
        return None
    holder, fence, time_s = lines[0].split()
    return GuardFacts(holder, int(fence), int(time_s))
