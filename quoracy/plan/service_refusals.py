"""What stands against a redeployment before anything is done. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from quoracy.checks.verdict import Verdict, failed
from quoracy.facts.service import ServiceHostFacts
from quoracy.facts.service_site import ServiceFacts
from quoracy.spec.fields import within
from quoracy.spec.service import Service, ServiceType

if TYPE_CHECKING:
    from quoracy.plan.service_redeploy import RedeployRequest

ARCHITECTURES = ("x86_64", "aarch64")
RESERVE_BYTES = 64 * 1024**2
MAX_TOLD = 12
_RUNTIMES = {
    ServiceType.NODEJS: "Node.js",
    ServiceType.PYTHON: "Python 3 with venv",
    ServiceType.STATIC: "nginx",
}


def refuse_service(
    service: Service, facts: ServiceFacts, request: RedeployRequest
) -> list[Verdict]:
    """Every check that speaks against it."""
    verdicts = refuse_hosts(service, facts)
    for name, found in facts.heard.items():
        verdicts += _machine(service, name, found, request)
        verdicts += _strays(service, name, found, request)
    return verdicts


def refuse_hosts(service: Service, facts: ServiceFacts) -> list[Verdict]:
    """What any operation on a service needs of its hosts."""
    verdicts = [
        failed(
            "HostSilent",
            silent.reason,
            where=name,
            next_step=silent.next_step or "check that the host is up and that sshd answers",
        )
        for name, silent in facts.silent.items()
    ]
    for name, found in facts.heard.items():
        verdicts += _port(service, name, found)
        if not found.host.systemd:
            verdicts.append(
                failed(
                    "NoSystemd",
                    "systemd does not run there",
                    where=name,
                    next_step="use a host that is booted with systemd",
                )
            )
    return verdicts


def _port(service: Service, name: str, found: ServiceHostFacts) -> Iterator[Verdict]:
    if found.port_taken:
        yield failed(
            "PortTaken",
            f"something else listens on port {service.port}",
            where=name,
            next_step="stop it, or give the service another app_port",
        )


def _machine(
    service: Service, name: str, found: ServiceHostFacts, request: RedeployRequest
) -> Iterator[Verdict]:
    if found.host.architecture not in ARCHITECTURES:
        yield failed(
            "ArchitectureUnknown",
            f"there are no builds for {found.host.architecture}",
            where=name,
            next_step=f"use one of {', '.join(ARCHITECTURES)}",
        )
    runtime = _RUNTIMES.get(service.type)
    if runtime and not found.runtime:
        yield failed(
            "RuntimeMissing",
            f"{runtime} is not installed",
            where=name,
            next_step=f"install it there; {service.type} services run with it",
        )
    if request.release(name, found) in found.releases:
        return
    needed = request.bytes + RESERVE_BYTES
    free = found.host.free_bytes.get(service.directory)
    if free is not None and free < needed:
        yield failed(
            "DiskTooSmall",
            f"only {free // 1024**2} MiB free at {service.directory}, {needed // 1024**2} are needed",
            where=name,
            next_step="free disk space, or keep fewer releases (redeploy.keep_releases)",
        )


def _strays(
    service: Service, name: str, found: ServiceHostFacts, request: RedeployRequest
) -> Iterator[Verdict]:
    """Files that the first run would leave behind without anybody having said so."""
    if found.layout != "flat":
        return
    stray = [path for path in found.flat if not _is_named(service, path, request)]
    if stray:
        told = ", ".join(stray[:MAX_TOLD]) + (", …" if len(stray) > MAX_TOLD else "")
        yield failed(
            "FilesUnnamed",
            f"{len(stray)} files in {service.directory} are not in the code: {told}",
            where=name,
            next_step="name what the service writes under redeploy.shared, and what is not "
            "needed any more under redeploy.leave_behind",
        )


def _is_named(service: Service, path: str, request: RedeployRequest) -> bool:
    wanted = service.redeploy
    return (
        path in request.paths
        or any(within(path, one) for one in (*wanted.shared, *request.outputs))
        or any(within(path, one) or fnmatchcase(path, one) for one in wanted.leave_behind)
    )
