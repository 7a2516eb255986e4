"""What stands against a redeployment before anything is done. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from quoracy.operation.step import Step
from quoracy.operation.verdict import Verdict, failed
from quoracy.services.facts import ServiceHostFacts
from quoracy.services.facts_site import ServiceFacts
from quoracy.services.plan.request import RedeployRequest
from quoracy.services.plan.strangers import refuse_strangers, refuse_taken_names, told
from quoracy.services.spec import Service, ServiceType
from quoracy.services.steps import BuildRelease, InstallDependencies, RunHook
from quoracy.specs.fields import within

ARCHITECTURES = ("x86_64", "aarch64")
RESERVE_BYTES = 64 * 1024**2
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
        verdicts += refuse_taken_names(service, name, found, request)
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
        verdicts += refuse_strangers(service, name, found)
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


def refuse_without_bus(
    service: Service, facts: ServiceFacts, steps: Iterable[Step]
) -> list[Verdict]:
    """What runs on a host in a unit of its own is started by systemd-run, which asks for it over D-Bus."""
    on_host = service.redeploy.dependencies_on == "host"
    needing = {
        step.host: step.title
        for step in steps
        if isinstance(step, RunHook | BuildRelease)
        or (isinstance(step, InstallDependencies) and on_host)
    }
    return [
        failed(
            "NoSystemBus",
            f"D-Bus does not run there, which systemd-run needs to {title}",
            where=name,
            next_step="install and start it there (Debian: dbus)",
        )
        for name, title in needing.items()
        if not facts.heard[name].host.bus
    ]


def forwarding_forbidden(name: str, said: str, next_step: str) -> Verdict:
    """The gate asks through the SSH connection: where that is forbidden, no release could ever pass it."""
    return failed("ForwardingForbidden", said, where=name, next_step=next_step)


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
        yield failed(
            "FilesUnnamed",
            f"{len(stray)} files in {service.directory} are not in the code: {told(stray)}",
            where=name,
            next_step="name what the service writes under redeploy.shared, and what is not "
            "needed any more under redeploy.leave_behind",
        )
    changed = [path for path in found.written if _is_replaced(service, path, found, request)]
    if changed:
        yield failed(
            "FilesChangedByService",
            f"{len(changed)} files are in the code and are others in {service.directory}, changed "
            f"after the service has started, or databases: {told(changed)}",
            where=name,
            next_step="name what the service writes under redeploy.shared, and what the code is to "
            "replace under redeploy.leave_behind",
        )


def _is_named(service: Service, path: str, request: RedeployRequest) -> bool:
    wanted = service.redeploy
    return (
        path in request.paths
        or any(within(path, one) for one in (*wanted.shared, *request.outputs))
        or _is_left_behind(service, path)
    )


def _is_replaced(
    service: Service, path: str, found: ServiceHostFacts, request: RedeployRequest
) -> bool:
    """Whether the code has another content for what the service may have written."""
    made = any(within(path, one) for one in request.outputs)
    wanted = request.paths.get(path, found.written[path])
    return wanted != found.written[path] and not made and not _is_left_behind(service, path)


def _is_left_behind(service: Service, path: str) -> bool:
    named = service.redeploy.leave_behind
    return any(within(path, one) or fnmatchcase(path, one) for one in named)
