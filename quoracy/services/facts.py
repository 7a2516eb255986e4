"""What a host says about one service: its releases, its unit, its process, its layout."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

from quoracy.hosts import bounded
from quoracy.hosts.limits import MIB, UNPACKED_BYTES
from quoracy.hosts.machine import HostFacts, parse_host
from quoracy.hosts.question import Answer
from quoracy.services.facts_flat import parse_flat
from quoracy.services.facts_place import LINKS, parse_place
from quoracy.services.facts_record import parse_record
from quoracy.services.facts_unit import foreign_units
from quoracy.services.layout import journal_path, web_root
from quoracy.services.manifest import Manifest
from quoracy.services.spec import Service
from quoracy.services.templates import made_for

SHA256_DIGITS = 64

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
        healthy: Whether it has passed the gate since it was switched to last (`.quoracy/healthy`).
        proven: Whether it has passed the gate at any time: the next switch to it turns the mark into
            `.quoracy/proven`.
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
    proven: bool = False


@dataclass(frozen=True, slots=True)
class UnitFacts:
    """The service's unit as systemd shows it.

    Attributes:
        digest: SHA-256 of the unit file's text; "" when there is none.
        running_in: Working directory of the main process, links resolved; "" when none runs.
        socket: Whether its socket unit is active.
        subject: The service that the unit file was made for; "" when it does not say.
        foreign: What is wrong with unit and socket when they are somebody else's, a sentence each.
    """

    active: str
    sub: str
    main_pid: int
    restarts: int
    digest: str
    running_in: str
    socket: bool
    subject: str = ""
    foreign: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceHostFacts:
    """Everything that a plan needs to know of a host.

    Attributes:
        layout: "releases" once `current` is a link to a release, "flat" when there is only code right in the
            service's directory, "none" is no directory or an empty one.
        current: Release that the link names; None without a link, or when it names none.
        previous: Release that the link named before; None when unknown or gone.
        releases: Complete ones, by ID.
        manifest: What `current` was made from, when its source is another one than wanted.
        runtime: First line of the runtime's own version; "" when it is not installed.
        dependencies: Keys of the complete directories of dependencies.
        flat: In any layout: every file and link below the directory that is not ours, relative,
            without what is derived (dependencies, byte code). After an adoption until they are cleared.
        written: Before an adoption, those that are newer than the service's process, and databases:
            their SHA-256, "" where there was no time to read them. Without what is shared.
        prepared: Whether the directory `shared` is there, which is made with the service's user.
        adopting: Whether an adoption was begun and not ended.
        port_taken: Whether something that is not this service listens on its port.
        web_root: static: where /var/www/<service> leads to, "" when there is nothing, "empty",
            "directory" or "file" when it is no link.
        directory_of: Who has the service's directory, while Quoracy has made nothing there; "" when
            there is none, or a service runs right in it.
        subject: The service that the directory is kept for; "" when nobody has said so.
        taken: Names of ours in the directory that we have not made.
        strange: What lies in `releases` and `deps` and is not ours, as `releases/abc`; at most a hundred.
        astray: The one of these that `current` leads to; "" when it does not.
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
    written: Mapping[str, str] = field(default_factory=dict)
    prepared: bool = False
    adopting: bool = False
    port_taken: bool = False
    web_root: str = ""
    directory_of: str = ""
    subject: str = ""
    taken: tuple[str, ...] = ()
    strange: tuple[str, ...] = ()
    astray: str = ""


def record_of(release: ReleaseFacts) -> bytes:
    """The release's own record, one line of JSON; how far it is proven stands beside it."""
    fields = asdict(release)
    del fields["healthy"], fields["proven"]
    return f"{json.dumps(fields)}\n".encode()


def parse_service_host(service: Service, answers: Mapping[str, Answer]) -> ServiceHostFacts:
    """The answers to `service_questions`."""
    place = bounded.parsed(answers, "place", lambda answer: parse_place(service, answer))
    releases = bounded.parsed(answers, "records", _releases)
    leads_to, before = (place.leads(f"{service.directory}/{name}") for name in LINKS)
    current, previous = (_known(service, target, releases) for target in (leads_to, before))
    flat, written = bounded.parsed(answers, "flat", parse_flat)
    digest = bounded.parsed(answers, "digest", lambda answer: answer)
    unit = bounded.parsed(answers, "unit", lambda answer: _unit(service, answer, digest))
    strange = bounded.parsed(answers, "strange", _strange)
    return ServiceHostFacts(
        host=parse_host(answers),
        layout="releases" if place.switched else "flat" if flat else "none",
        current=current,
        previous=previous,
        releases=releases,
        # What the link leads to may be somebody's own.
        manifest=bounded.parsed(answers, "manifest", _manifest) if current else None,
        unit=unit,
        runtime=bounded.parsed(answers, "runtime", _runtime),
        dependencies=bounded.parsed(answers, "dependencies", _dependencies),
        flat=flat,
        written=written,
        prepared=place.leads(f"{service.directory}/shared") not in ("", "file"),
        adopting=journal_path(service) in place.named,
        port_taken=bool(
            _listening(answers["unit"]) - _own(answers["unit"], stopped_whole=place.switched)
        ),
        web_root=place.leads(web_root(service)),
        directory_of="" if flat or place.subject is not None else place.owner,
        subject=place.subject or "",
        taken=place.taken(flat=bool(flat)),
        strange=strange,
        astray=next((path for path in strange if path == _inside(service, leads_to)), ""),
    )


def _known(service: Service, target: str, releases: Mapping[str, ReleaseFacts]) -> str | None:
    """The release of ours that a link leads to."""
    place, _, name = _inside(service, target).partition("/")
    return name if place == "releases" and name in releases else None


def _inside(service: Service, target: str) -> str:
    """Where a link in the service's directory leads, seen from there."""
    return target.removeprefix(f"{service.directory}/")


_MOST = 10_000
"""Releases, or directories of dependencies, on a host: nobody has as many."""


def _releases(answer: Answer) -> dict[str, ReleaseFacts]:
    lines = bounded.few(answer.lines, "releases", _MOST)
    return {one.id: one for one in map(_release, lines)}


def _release(line: str) -> ReleaseFacts:
    """A line of the answer: ID, mark, record."""
    name, _, rest = line.partition(" ")
    mark, _, record = rest.partition(" ")
    known = bounded.read(f"release {bounded.word(name, 'its ID')}", parse_record, record)
    return ReleaseFacts(
        **{**known.model_dump(), "id": name},
        healthy=mark == "healthy",
        proven=mark in ("healthy", "proven"),
    )


def _strange(answer: Answer) -> tuple[str, ...]:
    lines = bounded.few(answer.lines, "names that are not ours", _MOST)
    return tuple(bounded.line(line, "a name that is not ours") for line in lines)


def _runtime(answer: Answer) -> str:
    return bounded.line(next(iter(answer.lines), ""), "its version", bounded.LONGEST_WORD)


def _dependencies(answer: Answer) -> frozenset[str]:
    lines = bounded.few(answer.lines, "directories of dependencies", _MOST)
    return frozenset(bounded.word(line, "a directory") for line in lines)


def _manifest(answer: Answer) -> Manifest | None:
    if not answer.text.strip():
        return None
    return Manifest.parse(unpacked(bounded.unbase64(answer.text)).decode())


def unpacked(packed: bytes) -> bytes:
    """What gzip has packed, as far as it is no more than a host may tell.

    Raises:
        ValueError: It is not gzip's, not whole, or larger: a megabyte can stand for a gigabyte.
    """
    unpacking = zlib.decompressobj(wbits=31)  # zlib.h: a gzip header is expected
    try:
        text = unpacking.decompress(packed, UNPACKED_BYTES)
    except zlib.error as error:
        raise ValueError(f"a manifest is not gzip's: {error}") from None
    if not unpacking.eof:
        raise ValueError(f"a manifest is cut off, or larger than {UNPACKED_BYTES // MIB} MiB")
    return text


def _unit(service: Service, shown: Answer, digest: Answer) -> UnitFacts:
    """Unit and socket as systemd shows them, a block of lines each, and what the question adds."""
    unit, _, beside = shown.text.strip().partition("\n\n")
    told, added = Answer(unit, 0).pairs, shown.pairs
    return UnitFacts(
        active=bounded.word(told.get("ActiveState", "unknown"), "ActiveState"),
        sub=bounded.word(told.get("SubState", ""), "SubState"),
        main_pid=bounded.shown_number(told, "MainPID"),
        restarts=bounded.shown_number(told, "NRestarts"),
        digest=bounded.word(_digest(digest), "its digest"),
        running_in=_as_named(service, added.get("cwd", ""), added.get("real", "")),
        socket="ActiveState=active" in beside.partition("\n\n")[0].splitlines(),
        subject=next((subject for line in digest.lines if (subject := made_for(line))), ""),
        foreign=tuple(foreign_units(service, shown, digest)),
    )


def _digest(answer: Answer) -> str:
    first = next(iter(answer.text.split()), "")
    return first if len(first) == SHA256_DIGITS else ""


def _as_named(service: Service, path: str, real: str) -> str:
    """A path the way the spec says it, when the service's directory is reached through links."""
    inside = real and (path == real or path.startswith(f"{real}/"))
    return f"{service.directory}{path[len(real) :]}" if inside else path


def _listening(shown: Answer) -> set[str]:
    """Inodes of the sockets that listen on the service's port."""
    named = (line.partition("=") for line in shown.lines)
    return {inode for name, _, inode in named if name == "listening"}


def _own(shown: Answer, *, stopped_whole: bool) -> set[str]:
    """Inodes of the sockets that the unit's processes hold; see `sockets_held`.

    Args:
        stopped_whole: Whether a unit of ours is stopped with all its processes. Of another one also
            what an earlier start has left is its own: an adoption ends that.
    """
    held = [line.partition("=socket:[") for line in shown.lines if "=socket:[" in line]
    own, old = ({inode[:-1] for kind, _, inode in held if kind == one} for one in ("own", "old"))
    return own - old if stopped_whole else own | old
