"""What a host says about one service: its releases, its unit, its process, its layout."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from quoracy.commands.service_layout import journal_path, web_root
from quoracy.facts.host import HostFacts, parse_host
from quoracy.facts.manifest import Manifest
from quoracy.facts.question import Answer
from quoracy.spec.service import Service

Layout = Literal["none", "flat", "releases"]


@dataclass(frozen=True, slots=True)
class ReleaseFacts:
    """A complete release on a host, as its own record (`.quoracy/release.json`) says.

    Attributes:
        source: Digest of the manifest of the code that it was made from.
        recipe: Digest of how it was made and is run: unit, environment, build.
        dependencies: Key of its directory of dependencies; "" when it has none.
        runtime: What the runtime said of its version when it was made.
        created_s: Seconds since the epoch.
        operation: ID of the operation that made it.
        note: For people: a revision of the source, or "flat directory".
        port: Port that it listens on; 0 when it is not known.
        health: Path that must answer 2xx there.
        healthy: Whether it has passed the gate (`.quoracy/healthy` is there).
    """

    id: str
    source: str
    recipe: str
    dependencies: str
    runtime: str
    created_s: int
    operation: str
    note: str = ""
    port: int = 0
    health: str = ""
    healthy: bool = False


@dataclass(frozen=True, slots=True)
class UnitFacts:
    """The service's unit as systemd shows it.

    Attributes:
        digest: SHA-256 of the unit file's text; "" when there is none.
        running_in: Working directory of the main process, links resolved; "" when none runs.
        socket: Whether its socket unit is active.
    """

    active: str
    sub: str
    main_pid: int
    restarts: int
    digest: str
    running_in: str
    socket: bool


@dataclass(frozen=True, slots=True)
class ServiceHostFacts:
    """Everything that a plan needs to know of a host.

    Attributes:
        layout: "releases" once the link `current` exists, "flat" when there is only code right in the
            service's directory, "none" is no directory or an empty one.
        current: Release that the link names; None without a link, or when it names none.
        previous: Release that the link named before; None when unknown or gone.
        releases: Complete ones, by ID.
        manifest: What `current` was made from, when its source is another one than wanted.
        runtime: First line of the runtime's own version; "" when it is not installed.
        dependencies: Keys of the complete directories of dependencies.
        flat: In any layout: every file and link below the directory that is not ours, relative,
            without what is derived (dependencies, byte code). After an adoption until they are cleared.
        adopting: Whether an adoption was begun and not ended.
        port_taken: Whether something that is not this service listens on its port.
        web_root: static: where /var/www/<service> leads to, "" when there is nothing, "directory"
            when it is one.
    """

    host: HostFacts
    layout: Layout
    current: str | None
    previous: str | None
    releases: Mapping[str, ReleaseFacts]
    manifest: Manifest | None
    unit: UnitFacts
    runtime: str
    dependencies: frozenset[str]
    flat: tuple[str, ...] = ()
    adopting: bool = False
    port_taken: bool = False
    web_root: str = ""


def record_of(release: ReleaseFacts) -> bytes:
    """The release's own record, one line of JSON; whether it is healthy stands beside it."""
    fields = asdict(release)
    del fields["healthy"]
    return f"{json.dumps(fields)}\n".encode()


def parse_service_host(service: Service, answers: Mapping[str, Answer]) -> ServiceHostFacts:
    """The answers to `service_questions`."""
    links = _links(answers["links"])
    releases = {one.id: one for one in map(_release, answers["records"].lines)}
    current, previous = (
        _known(links.get(f"{service.directory}/{name}", ""), releases)
        for name in ("current", "previous")
    )
    flat = _names(answers["flat"])
    has_current = f"{service.directory}/current" in links
    return ServiceHostFacts(
        host=parse_host(answers),
        layout="releases" if has_current else "flat" if flat else "none",
        current=current,
        previous=previous,
        releases=releases,
        manifest=_manifest(answers["manifest"]),
        unit=_unit(service, answers["unit"], answers["digest"]),
        runtime=next(iter(answers["runtime"].lines), ""),
        dependencies=frozenset(answers["dependencies"].lines),
        flat=flat,
        adopting=journal_path(service) in links,
        port_taken=service.port is not None
        and bool(_listeners(answers["ports"], service.port) - _own(answers["unit"])),
        web_root=links.get(web_root(service), ""),
    )


def _links(answer: Answer) -> dict[str, str]:
    """Where links lead to, by path; "directory" for a directory, "file" for anything else."""
    found = {}
    for line in answer.lines:
        path, kind, target = line.split(" ", 2)
        found[path] = target if kind == "l" else "directory" if kind == "d" else "file"
    return found


def _known(target: str, releases: Mapping[str, ReleaseFacts]) -> str | None:
    name = target.rpartition("/")[2]
    return name if name in releases else None


def _release(line: str) -> ReleaseFacts:
    """A line of the answer: ID, whether it is healthy, record."""
    name, healthy, record = line.split(" ", 2)
    known = {key: value for key, value in json.loads(record).items() if key in _RECORDED}
    return ReleaseFacts(**{**known, "id": name, "healthy": healthy == "1"})


_RECORDED = frozenset(ReleaseFacts.__dataclass_fields__)
"""A record of another version of Quoracy may hold more."""


def _manifest(answer: Answer) -> Manifest | None:
    if not answer.text.strip():
        return None
    return Manifest.parse(gzip.decompress(base64.b64decode(answer.text)).decode())


def _names(answer: Answer) -> tuple[str, ...]:
    """NUL-terminated names in base64, any bytes in them."""
    joined = base64.b64decode(answer.text).decode("utf-8", "surrogateescape")
    return tuple(sorted(name for name in joined.split("\0") if name))


def _unit(service: Service, shown: Answer, digest: Answer) -> UnitFacts:
    """Unit and socket as systemd shows them, a block of lines each, and what the question adds."""
    unit, _, beside = shown.text.strip().partition("\n\n")
    told, added = Answer(unit, 0).pairs, shown.pairs
    return UnitFacts(
        active=told.get("ActiveState", "unknown"),
        sub=told.get("SubState", ""),
        main_pid=int(told.get("MainPID", "0")),
        restarts=int(told.get("NRestarts") or "0"),
        digest=next(iter(digest.text.split()), ""),
        running_in=_as_named(service, added.get("cwd", ""), added.get("real", "")),
        socket="ActiveState=active" in beside.partition("\n\n")[0].splitlines(),
    )


def _as_named(service: Service, path: str, real: str) -> str:
    """A path the way the spec says it, when the service's directory is reached through links."""
    inside = real and (path == real or path.startswith(f"{real}/"))
    return f"{service.directory}{path[len(real) :]}" if inside else path


def _listeners(ports: Answer, port: int) -> set[str]:
    """Inodes of the sockets in state LISTEN (0A) on the port: /proc/net/tcp and tcp6 (proc(5))."""
    fields = (line.split() for line in ports.lines)
    return {
        words[9]
        for words in fields
        if len(words) > 9 and words[3] == "0A" and int(words[1].rsplit(":", 1)[1], 16) == port
    }


def _own(shown: Answer) -> set[str]:
    """Inodes of the sockets that the unit's processes hold."""
    return {
        line.removeprefix("own=socket:[").removesuffix("]")
        for line in shown.lines
        if line.startswith("own=")
    }
