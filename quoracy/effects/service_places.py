"""Two services of a project must not have the same directory or unit on one host: they would replace each other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from quoracy.errors import UsageError
from quoracy.spec.document import printed
from quoracy.spec.etcd import ssh_targets
from quoracy.spec.service import Service, ServiceType

if TYPE_CHECKING:
    from quoracy.effects.project import LoadedService


def require_apart(loaded: LoadedService, others: Iterable[LoadedService]) -> None:
    """Compare a service with the others of its project; addresses are compared as they are written.

    Raises:
        UsageError: Another one that carries code has its directory or its unit on the same host.
    """
    service = loaded.service
    for other in others:
        shared = _machines(service).keys() & _machines(other.service).keys()
        if other.config == loaded.config or not shared:
            continue
        same = _same_place(service, other.service)
        if same:
            what, key = same
            address = _machines(service)[min(shared)]
            raise UsageError(
                f"{service.name} and {other.service.name} have the same {what} on {address}",
                where=printed(str(loaded.config)),
                next_step=f"give one of the two another {key}; the other one's file is "
                f"{printed(str(other.config))}",
            )


def _machines(service: Service) -> dict[tuple[str, int, str], str]:
    """Address by what tells machines apart: the same one behind another gateway is another machine."""
    if not service.carries_code:
        return {}
    return {
        (one.address, one.port, one.gateway.address if one.gateway else ""): one.address
        for one in ssh_targets(service, default_known_hosts="")
    }


def _same_place(one: Service, other: Service) -> tuple[str, str] | None:
    """What both have, and the key that would change it; nginx serves many."""
    if one.directory == other.directory:
        return f"directory {one.directory}", "app_dir"
    if one.unit == other.unit and one.type is not ServiceType.STATIC:
        return f"unit {one.unit}", "app_service_name"
    return None
