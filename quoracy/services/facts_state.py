"""Quick looks at one service: its unit while it is waited for, its files when they are verified. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from quoracy.hosts import bounded
from quoracy.hosts.bounded import Unreadable
from quoracy.hosts.question import Answer
from quoracy.services.facts_unit import strangers, unit_shown
from quoracy.services.manifest import Entry, Kind, Manifest
from quoracy.services.spec import Service, ServiceType

_KINDS: Mapping[str, Kind] = {"f": "file", "l": "link", "d": "dir"}
_ABOUT = re.compile(r"(?P<letter>[A-Za-z]) (?P<mode>[0-7]{1,5}) (?P<size>[0-9]+)")


@dataclass(frozen=True, slots=True)
class UnitState:
    """The service's unit at one moment.

    Attributes:
        inside: Whether the main process works in the directory that was asked for.
        works_in: Where it works when that is another one; "" when it is not known.
        stranger: Whether what listens on the service's port is not only its own: no answer from
            there proves anything.
    """

    active: str
    sub: str
    main_pid: int
    restarts: int
    inside: bool
    works_in: str = ""
    stranger: bool = False

    @property
    def running(self) -> bool:
        """Whether systemd calls it running, and a process is there."""
        return self.active == "active" and self.sub == "running" and self.main_pid > 0

    def same_process(self, other: UnitState) -> bool:
        """Whether nothing was restarted between the two."""
        return (self.main_pid, self.restarts) == (other.main_pid, other.restarts)


def state_question(service: Service, directory: str, *, listeners: bool = True) -> str:
    """Script that shows the unit, whether its process works in a directory, and who listens on its port.

    nginx is others' too, and what it answers is compared.

    Args:
        listeners: Whether it is asked who listens: of all this takes the longest, as the kernel goes
            through every connection of the host.
    """
    path = shlex.quote(directory)
    asked = listeners and service.type is not ServiceType.STATIC
    own_port = service.port if asked else None
    return f"""{unit_shown(service)}
stranger=
if [ "$p" -gt 0 ]; then
    if [ /proc/$p/cwd -ef {path} ]; then echo inside=yes; else echo cwd=$(readlink /proc/$p/cwd); fi
{strangers(service, own_port) if own_port else ":"}
fi
"""


def healthy_question(service: Service, directory: str, begin: UnitState) -> str:
    """`state_question`, which marks the release as healthy when its process is still the same.

    And only when nobody else listens on its port.
    """
    return f"""{state_question(service, directory)}pid=0 restarts=0 active='' sub=''
while IFS='=' read -r key value; do
    [ -n "$key" ] || break
    case $key in
        ActiveState) active=$value ;; SubState) sub=$value ;;
        MainPID) pid=$value ;; NRestarts) restarts=$value ;;
    esac
done <<END
$show
END
if [ "$active $sub $pid $restarts" = "active running {begin.main_pid} {begin.restarts}" ] \\
    && [ -z "$stranger" ] && [ -e {shlex.quote(directory)}/.quoracy/complete ]; then
    : > {shlex.quote(directory)}/.quoracy/healthy
fi
"""


def parse_state(output: bytes) -> UnitState:
    """The answer to `state_question`."""
    text = output.decode("utf-8", "replace").lstrip()
    told, added = Answer(text.partition("\n\n")[0], 0).pairs, Answer(text, 0).pairs
    return UnitState(
        active=bounded.word(told.get("ActiveState", "unknown"), "ActiveState"),
        sub=bounded.word(told.get("SubState", ""), "SubState"),
        main_pid=bounded.shown_number(told, "MainPID"),
        restarts=bounded.shown_number(told, "NRestarts"),
        inside=added.get("inside") == "yes",
        works_in=added.get("cwd", ""),
        stranger=bool(added.get("stranger")),
    )


def parse_verified(output: bytes) -> Manifest:
    """The answer of `verify_release`: what the release's files are now, without the links to shared ones."""
    lines = output.decode("utf-8", "replace").split("\n")
    if len(lines) < 3:
        raise Unreadable("it is not three lines")
    ours, found, digests = map(bounded.unbase64, lines[:3])
    linked = set(_text(ours).splitlines())
    contents: dict[str, str] = {}
    for row in _text(digests).split("\0"):
        digest, _, path = row.partition("  ")
        contents[path.removeprefix("./")] = digest
    return Manifest.of(e for e in _entries(_text(found), contents) if e.path not in linked)


def _entries(found: str, contents: Mapping[str, str]) -> Iterator[Entry]:
    """Three fields for each path, NUL after each: kind, mode and size; path; target of a link."""
    fields = found.split("\0")
    for about, path, target in zip(fields[0::3], fields[1::3], fields[2::3], strict=False):
        said = _ABOUT.fullmatch(about)
        if said is None:
            raise Unreadable(f"{bounded.one_line(about)!r} is not kind, mode and size")
        kind = _KINDS.get(said["letter"], "file")
        is_file = kind == "file"
        content = contents.get(path, "") if is_file else target
        executable = is_file and bool(int(said["mode"], 8) & 0o100)
        size = bounded.whole(said["size"], "the size of a file") if is_file else 0
        yield Entry(path, kind, executable, size, content)


def _text(output: bytes) -> str:
    return output.decode("utf-8", "surrogateescape")
