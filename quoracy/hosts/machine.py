"""What a machine says about itself: system, clock, disks, listening ports, and the guard's traces."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from quoracy.hosts import bounded
from quoracy.hosts.bounded import Unreadable
from quoracy.hosts.question import Answer
from quoracy.operation.guard import DIGITS, ENDED, state_dir

_NUMBER = f"(0|[1-9][0-9]{{0,{DIGITS - 1}}})"
_GUARD = re.compile(rf"(\S{{1,200}}) {_NUMBER} {_NUMBER}", re.ASCII)


@dataclass(frozen=True, slots=True)
class GuardFacts:
    """Who changed the cluster on this host last: holder, fencing number, seconds since the epoch.

    Attributes:
        holder: With `ENDED` before his name when he has said that he acts no more.
    """

    holder: str
    fence: int
    time_s: int

    @property
    def name(self) -> str:
        """The holder's name, whether he has ended or not; "" when the host does not know it."""
        return self.holder.removeprefix(ENDED)


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


Facts = TypeVar("Facts")


@dataclass(frozen=True, slots=True)
class Answers(Generic[Facts]):
    """What all hosts say, in the order of the spec, those that do not answer included."""

    hosts: Mapping[str, Facts | HostSilent]

    @property
    def heard(self) -> dict[str, Facts]:
        """The hosts that could be asked."""
        return {name: one for name, one in self.hosts.items() if not isinstance(one, HostSilent)}

    @property
    def silent(self) -> dict[str, HostSilent]:
        """The hosts that could not be asked."""
        return {name: one for name, one in self.hosts.items() if isinstance(one, HostSilent)}


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
        "guard": (
            f"f={state_dir(cluster)}/fence; if [ -s $f ] || [ -L $f ] || {{ [ -e $f ] && [ ! -f $f ]; }}; then guard=; "
            "[ ! -f $f ] || [ -L $f ] || read -r guard < $f; printf '%s\\n' \"${guard:-?}\"; fi"
        ),
    }


def parse_host(answers: Mapping[str, Answer]) -> HostFacts:
    """The answers to `host_questions`."""
    free_bytes = bounded.parsed(answers, "disks", _free_bytes)
    listening = bounded.parsed(answers, "ports", _listening_ports)
    guard = bounded.parsed(answers, "guard", _guard)

    def machine(answer: Answer) -> HostFacts:
        told = answer.pairs
        return HostFacts(
            os_name=bounded.line(bounded.value(told, "os"), "os", bounded.LONGEST_WORD),
            architecture=bounded.word(bounded.value(told, "arch"), "arch"),
            clock_s=bounded.seconds(bounded.value(told, "clock"), "clock"),
            uptime_s=bounded.seconds(bounded.value(told, "uptime"), "uptime"),
            boot_id=bounded.word(bounded.value(told, "boot"), "boot"),
            free_bytes=free_bytes,
            listening=listening,
            guard=guard,
            systemd=told.get("systemd") != "no",
            bus=told.get("bus") != "no",
        )

    return bounded.parsed(answers, "system", machine)


def _free_bytes(answer: Answer) -> dict[str, int]:
    """By path, of which there are a handful."""
    told = bounded.few([*answer.pairs.items()], "paths", _PATHS)
    return {
        bounded.line(path, "a path"): bounded.whole(kib, "free KiB", bounded.INT64 // 1024) * 1024
        for path, kib in told
    }


def files_question(paths: Sequence[str], also: str) -> str:
    """Question for the content of files and the targets of links; patterns are allowed.

    One tar of them all: a process per file would cost more than the files. Missing ones are left out.

    Args:
        paths: In directories where only root writes: it would read through links of others.
        also: A command that makes another tar, of files that are somebody else's, as that user.
    """
    return f"{{ tar -cf - {' '.join(paths)}; {also}; }} | base64 -w0"


def parse_files(answer: Answer) -> tuple[dict[str, bytes], dict[str, str]]:
    """Content by path, and link target by path.

    Raises:
        Unreadable, TarError: It is not what `files_question` makes.
    """
    contents: dict[str, bytes] = {}
    links: dict[str, str] = {}
    told = bounded.unbase64(answer.text)
    if not told:
        raise Unreadable("no tar")
    end = 0
    for _ in range(2):
        if begin := _SOMETHING.search(told, end):
            end = _read_tar(told, begin.start() // tarfile.BLOCKSIZE, contents, links)
    if _SOMETHING.search(told, end):
        raise Unreadable("more than two tars")
    return contents, links


_SOMETHING = re.compile(rb"[^\0]")


def _read_tar(told: bytes, block: int, contents: dict[str, bytes], links: dict[str, str]) -> int:
    """Read a tar that begins at a block, and return the byte where it ends; zeros follow.

    Neither gzip nor holes may make more of it than what was told.
    """
    source = io.BytesIO(told)
    source.seek(block * tarfile.BLOCKSIZE)
    with tarfile.open(fileobj=source, mode="r:") as archive:
        for member in archive:
            path = f"/{member.name}"
            if member.issym():
                links[path] = member.linkname
            elif member.isreg() and not member.issparse():
                content = archive.extractfile(member)
                contents[path] = content.read() if content else b""
            elif member.islnk():  # met before, by another path to it
                met = f"/{member.linkname}"
                if met in contents:
                    contents[path] = contents[met]
                elif met in links:
                    links[path] = links[met]
        return archive.offset


_PATHS = 100
_LOCAL = re.compile(r"[0-9A-F]+:([0-9A-F]{4})")


def _listening_ports(answer: Answer) -> frozenset[int]:
    """Ports of the sockets in state LISTEN (0A) of /proc/net/tcp and tcp6."""
    fields = (line.split() for line in answer.lines)
    return frozenset(_port(words[1]) for words in fields if len(words) > 3 and words[3] == "0A")


def _port(address: str) -> int:
    found = _LOCAL.fullmatch(address)
    if found is None:
        raise Unreadable(f"{bounded.one_line(address)!r} is no address with a port")
    return int(found[1], 16)


def _guard(answer: Answer) -> GuardFacts | None:
    """None when nobody has acted there.

    Raises:
        Unreadable: It is something else than holder, number and time, or a number is beyond all reason.
    """
    if not answer.lines:
        return None
    found = _GUARD.fullmatch(answer.lines[0])
    if found is None:
        raise Unreadable(
            "what it has noted of the operation that acted there last is no holder, number and time",
            "when nobody works on it: `quoracy lease renumber CLUSTER HOST`",
        )
    return GuardFacts(bounded.word(found[1], "the holder"), int(found[2]), int(found[3]))
