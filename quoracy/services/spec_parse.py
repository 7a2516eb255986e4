"""service-config.yml to spec: the original's keys pass, what nobody knows is told, never fatal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from quoracy.errors import UsageError
from quoracy.services.spec import INFRASTRUCTURE, Service
from quoracy.services.spec_keys import FLAT, KNOWN, OF_REDEPLOY, USED, nearest
from quoracy.specs.document import SERVICE, Document, load, printed
from quoracy.specs.mistakes import Location, mistakes, validated

MAX_TOLD = 20
_HOSTS = """it has no `hosts`, the machines that run it; for example:
    hosts:
      - {name: web-1, address: 192.0.2.10}"""


@dataclass(frozen=True, slots=True)
class ParsedService:
    """A service, and what is odd about its file, each with line and column."""

    service: Service
    warnings: tuple[str, ...] = ()


def parse_service(text: str, *, source: str, home: str = "~") -> ParsedService:
    """Read one service-config.yml.

    Args:
        text: The YAML document.
        source: Path of the file, for errors; its directory's name is the service's.
        home: What `~` stands for in paths on the controller.

    Raises:
        UsageError: Not YAML, too large, with anchors, or not a valid service; it names every wrong
            field with line and column.
    """
    document = load(text, source, SERVICE)
    name = PurePosixPath(source).parent.name
    kind = document.data.get("service_type")
    if isinstance(kind, str) and kind in INFRASTRUCTURE:
        wanted = {"service_name": name, "service_type": kind}
        return ParsedService(_service(wanted, document, source, home))
    service = _service(_wanted(document.data, name), document, source, home)
    if not service.hosts:
        raise UsageError(
            _HOSTS, where=source, next_step="add them with the addresses that SSH reaches them at"
        )
    warnings = [f"{source}: {one}" for one in _strays(document)]
    if service.name != name:
        warnings.append(_misnamed(service, document, source, name))
        service = _service(_known_as(service, name), document, source, home)
    return ParsedService(service, _bounded(warnings))


def _service(data: Any, document: Document, source: str, home: str) -> Service:
    def wrong(found: list[tuple[Location, str]]) -> UsageError:
        told = [(_as_written(place, document.data), said) for place, said in found]
        return mistakes(told, document, source, SERVICE)

    templates = frozenset(_templates(data, ()))
    return validated(Service, data, home, wrong, templates)


def _wanted(data: dict[Any, Any], name: str) -> dict[str, Any]:
    """What is used of the file, with the original's flat keys where they belong."""
    wanted = {key: data[key] for key in USED if data.get(key) is not None}
    wanted.setdefault("service_name", name)
    redeploy = wanted.get("redeploy", {})
    if isinstance(redeploy, dict):
        flat = {key: data[key] for key in FLAT if data.get(key) is not None}
        own = {key: value for key, value in redeploy.items() if key in OF_REDEPLOY}
        wanted["redeploy"] = flat | {key: value for key, value in own.items() if value is not None}
    return wanted


def _as_written(place: Location, data: dict[Any, Any]) -> Location:
    """Where a key of `redeploy` stands in the file when it stands at top level."""
    if len(place) == 2 and place[0] == "redeploy" and place[1] in FLAT:
        own = data.get("redeploy") or {}
        return place if own.get(place[1]) is not None else place[1:]
    return place


def _templates(node: Any, at: Location) -> Iterator[Location]:
    """Places of the texts that a template is still to fill in."""
    inner: Iterable[tuple[Any, Any]] = ()
    if isinstance(node, dict | list):
        inner = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in inner:
        yield from _templates(value, (*at, key))
    if isinstance(node, str) and "{{" in node:
        yield at


def _strays(document: Document) -> Iterator[str]:
    """The keys that nobody knows; those in our own blocks are errors already."""
    inner = document.data.get("redeploy")
    redeploy = inner if isinstance(inner, dict) else {}
    for key in (key for key in document.data if key not in KNOWN):
        other = f"redeploy.{key}" if key in OF_REDEPLOY else ""
        yield _stray((key,), nearest(str(key), KNOWN, other), document)
    for key in (key for key in redeploy if key not in OF_REDEPLOY):
        other = f"{key} at top level" if key in KNOWN else ""
        yield _stray(("redeploy", key), nearest(str(key), OF_REDEPLOY, other), document)


def _stray(place: Location, hint: str, document: Document) -> str:
    field = printed(".".join(str(part)[:60] for part in place))
    return f"{document.place(place)}: {field}: there is no such key{hint}"


def _misnamed(service: Service, document: Document, source: str, name: str) -> str:
    return (
        f"{source}: {document.place(('service_name',))}: service_name: is {service.name}, and the "
        f"directory is {name}: commands and history call it {name}, its hosts go on calling it "
        f"{service.name} ({service.directory}, {service.unit})"
    )


def _known_as(service: Service, name: str) -> dict[str, Any]:
    """The same service by its directory's name; on its hosts nothing changes."""
    own = {"app_dir": service.directory, "app_service_name": service.unit_name or service.name}
    return {**service.model_dump(by_alias=True), "service_name": name, **own}


def _bounded(warnings: list[str]) -> tuple[str, ...]:
    if len(warnings) <= MAX_TOLD:
        return tuple(warnings)
    return (*warnings[:MAX_TOLD], f"and {len(warnings) - MAX_TOLD} more")
