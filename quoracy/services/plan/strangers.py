"""What a service meets on a host that is somebody else's: it is named, and left alone. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from quoracy.operation.verdict import Verdict, failed, warned
from quoracy.services.facts import ServiceHostFacts
from quoracy.services.layout import public_path, web_root
from quoracy.services.plan.request import RedeployRequest
from quoracy.services.spec import Service, ServiceType
from quoracy.specs.document import printed

MAX_TOLD = 12
_ANOTHER_DIRECTORY = "choose a new app_dir, and copy what the service writes to shared in it"


def refuse_strangers(service: Service, name: str, found: ServiceHostFacts) -> Iterator[Verdict]:
    """Directory, names in it, unit, port and web root are the service's own, or nobody's."""
    if found.port_taken:
        yield failed(
            "PortTaken",
            f"something else listens on port {service.port}",
            where=name,
            next_step="`ss -ltnp` on the host says what; give the service another app_port, or, when it "
            "is an older unit of this service, name that one with app_service_name",
        )
    yield from _directory(service, name, found)
    yield from _names(service, name, found)
    yield from _unit(service, name, found)
    yield from _web_root(service, name, found)


def refuse_taken_names(
    service: Service, name: str, found: ServiceHostFacts, request: RedeployRequest
) -> Iterator[Verdict]:
    """What is to be made has a name that somebody else's has already."""
    key = request.dependencies[name]
    release = f"releases/{request.release(name, found)}"
    taken = [at for at in (release, f"deps/{key}") if at in found.strange]
    if taken:
        yield failed(
            "NamesTaken",
            f"in {service.directory} there is something that Quoracy has not made, and that has the "
            f"name of what it is to make: {', '.join(taken)}",
            where=name,
            next_step="redeploy with --force, which gives the release another name"
            if taken == [release]
            else _ANOTHER_DIRECTORY,
        )


def told(paths: Sequence[str]) -> str:
    """The first of so many paths."""
    more = ", …" if len(paths) > MAX_TOLD else ""
    return ", ".join(map(printed, paths[:MAX_TOLD])) + more


def _directory(service: Service, name: str, found: ServiceHostFacts) -> Iterator[Verdict]:
    directory = service.directory
    if found.subject not in ("", service.subject):
        yield failed(
            "OwnedByAnother",
            f"{directory} is kept for {found.subject}",
            where=name,
            next_step="give one of the two another app_dir; or, when that service is no more, "
            f"remove {directory}/.quoracy/owner there",
        )
    if found.directory_of not in ("", "root", service.user):
        yield failed(
            "DirectoryTaken",
            f"{directory} is not Quoracy's, and {printed(found.directory_of)}'s",
            where=name,
            next_step="choose a new app_dir, or give the service that user as app_user",
        )


def _names(service: Service, name: str, found: ServiceHostFacts) -> Iterator[Verdict]:
    directory = service.directory
    if found.taken:
        yield failed(
            "NamesTaken",
            f"in {directory} there is something that Quoracy has not made, or that is not root's any "
            f"more, and has one of its names: {', '.join(found.taken)}",
            where=name,
            next_step=_ANOTHER_DIRECTORY,
        )
    if found.strange:
        yield warned(
            "NotOurs",
            f"in {directory} there is what Quoracy has not made, and leaves alone: {told(found.strange)}",
            where=name,
        )
    if found.astray:
        yield warned(
            "NotOurs",
            f"{directory}/current leads to {printed(found.astray)}, which is no release of Quoracy's: "
            "nothing goes back to it",
            where=name,
        )


def _unit(service: Service, name: str, found: ServiceHostFacts) -> Iterator[Verdict]:
    if found.unit.subject not in ("", service.subject):
        yield failed(
            "OwnedByAnother",
            f"the unit {service.unit} was installed for {found.unit.subject}",
            where=name,
            next_step="give one of the two another app_service_name; or, when that service is no "
            "more, disable and remove its unit there",
        )
    for foreign in found.unit.foreign if found.host.systemd else ():
        yield failed(
            "UnitTaken",
            f"the unit {printed(foreign)}",
            where=name,
            next_step="name a unit of the service's own with app_service_name; this one is left alone",
        )


def _web_root(service: Service, name: str, found: ServiceHostFacts) -> Iterator[Verdict]:
    """static: nginx's directory is a link of ours, or the original's, which is adopted, or nothing yet."""
    root, there = web_root(service), found.web_root
    if service.type is not ServiceType.STATIC or there in ("", "empty", public_path(service)):
        return
    adopts = found.layout == "flat" or found.adopting
    is_link = there not in ("directory", "file")
    led_away = is_link and found.layout == "releases"
    into_it = is_link and f"{there}/".startswith(f"{service.directory}/")
    if not (led_away or (adopts and (there == "directory" or into_it))):
        yield failed(
            "WebRootTaken",
            f"{root} is a {there if not is_link else f'link to {printed(there)}'}, and Quoracy has not "
            "made it",
            where=name,
            next_step="give the service another name, after which its web root is called; this one is "
            "left alone",
        )
