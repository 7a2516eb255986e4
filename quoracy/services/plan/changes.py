"""Why a redeployment does something on a host, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from quoracy.operation.plan import Change
from quoracy.services.facts import ServiceHostFacts
from quoracy.services.layout import public_path
from quoracy.services.manifest import Difference
from quoracy.services.plan.request import RedeployRequest
from quoracy.services.plan.switching import runs_current
from quoracy.services.spec import Service, ServiceType
from quoracy.specs.document import printed

MAX_NAMED = 20


def changes_of(
    service: Service, name: str, found: ServiceHostFacts, request: RedeployRequest
) -> Iterator[Change]:
    """Why something is done on a host where not all is as wanted."""
    release = request.release(name, found)
    yield Change(name, "release", found.current or found.layout, release)
    if name in request.files:
        yield Change(name, "files", "", _named(request.files[name]))
    current = found.releases.get(found.current or "")
    if current is None:
        return
    for what, before, after in (
        ("code", current.source[:12], request.source[:12]),
        ("unit, environment or build", current.recipe[:12], request.recipe[:12]),
        ("dependencies", current.dependencies, request.dependencies[name]),
    ):
        if before != after:
            yield Change(name, what, before, after)
    if current.source == request.source and not runs_current(service, found):
        if service.type is ServiceType.STATIC and found.unit.active == "active":
            yield Change(name, "web root", found.web_root or "nothing", public_path(service))
        else:
            yield Change(name, "process", found.unit.active, "active in the current release")
    elif current.recipe == request.recipe and request.unit not in ("", found.unit.digest):
        yield Change(name, "unit file", "edited on the host", "as rendered")
    elif current.id == release and not current.healthy:
        yield Change(name, "gate", "not passed since the last switch", "passed")


def _named(files: Difference) -> str:
    """How many files differ, and the first of them by name."""
    changed = [printed(entry.path) for entry in files.changed]
    names = [*changed, *(f"{printed(path)} (deleted)" for path in files.deleted)]
    more = ", …" if len(names) > MAX_NAMED else ""
    counts = f"{len(changed)} new or changed, {len(files.deleted)} deleted"
    return f"{counts}: {', '.join(names[:MAX_NAMED])}{more}"
