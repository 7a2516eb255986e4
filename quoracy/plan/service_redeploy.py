"""The plan of `service-redeploy`: stage everywhere, then switch the first host, then the rest. Pure.

Whatever takes time (transfer, dependencies, build) happens beside the release that serves. Then the
first host is switched alone; the others follow in batches only when it is healthy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from quoracy.checks.verdict import Verdict
from quoracy.facts.manifest import Difference
from quoracy.facts.service import ServiceHostFacts
from quoracy.facts.service_site import ServiceFacts
from quoracy.plan.plan import Change, Group, Plan, Step
from quoracy.plan.service_refusals import refuse_service
from quoracy.plan.service_steps import (
    FLAT,
    HOOK_AFTER,
    AdoptService,
    AwaitService,
    BuildHere,
    BuildRelease,
    ClearFlat,
    InstallDependencies,
    KeepFlat,
    PrepareService,
    PruneReleases,
    RunHook,
    StageRelease,
    SwitchRelease,
)
from quoracy.spec.document import printed
from quoracy.spec.service import Service, ServiceType

OPERATION = "service-redeploy"
MAX_NAMED = 20


@dataclass(frozen=True, slots=True)
class RedeployRequest:
    """What is to run, as far as the controller knows it.

    Attributes:
        source: Digest of the code's manifest.
        recipe: Digest of how it is made and run.
        unit: SHA-256 of the unit's text; "" when the service has none of its own.
        paths: The code's paths.
        files: What differs on a host, where the code is shipped as it is and the host has said what it has.
        outputs: What a build makes of it: such files in a flat directory need not be named.
        bytes: Size of the code.
        dependencies: Key of the dependencies on each host; "" when there are none.
        builds_here: Whether a tree is made on the controller before it is shipped.
        builds_on_host: Whether the build command runs there.
        drifted: Hosts where files of the current release are not as they were shipped.
        forced: Whether the release is made anew where it is the same.
        token: Tells a release that is made anew from the one that it repeats.
        note: For people: what the code is, such as a revision.
    """

    source: str
    recipe: str
    paths: frozenset[str]
    bytes: int
    dependencies: Mapping[str, str]
    builds_here: bool = False
    builds_on_host: bool = False
    drifted: frozenset[str] = frozenset()
    unit: str = ""
    files: Mapping[str, Difference] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    forced: bool = False
    token: str = ""
    note: str = ""

    def release(self, host: str, found: ServiceHostFacts) -> str:
        """The release's ID on a host: the same code, made in the same way, has the same.

        One that was made anew before, and is what is wanted, stays.
        """
        current = found.releases.get(found.current or "")
        parts = (self.source, self.recipe, self.dependencies[host])
        name = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
        if self.forced or host in self.drifted:
            return f"{name}-{self.token}"
        if current and (current.source, current.recipe, current.dependencies) == parts:
            return current.id
        return name


def plan_service_redeploy(service: Service, facts: ServiceFacts, request: RedeployRequest) -> Plan:
    """Decide what `service-redeploy` does.

    Returns:
        A plan; when a check stands against it, `plan.refused` is true and it is only shown.
    """
    verdicts = refuse_service(service, facts, request)
    if any(verdict.stops for verdict in verdicts):
        return _nothing(service, "cannot be decided", verdicts)
    # On a single host there is nobody to wait for.
    alone = len(service.hosts) == 1
    groups = (
        *(() if alone else _stage(service, facts, request)),
        *switch_groups(
            service,
            facts,
            lambda name: (
                *(_stage_host(service, name, facts.heard[name], request) if alone else ()),
                *_switch(service, name, facts.heard[name], request),
            ),
            kept_after=HOOK_AFTER if service.redeploy.post_deploy_hook else AwaitService.name,
        ),
        *_clean(service, facts, request),
    )
    if not groups:
        return _nothing(service, "this code runs on all hosts", verdicts)
    return Plan(
        operation=OPERATION,
        cluster=service.subject,
        kind="change",
        title=_title(service, facts, request, groups),
        verdicts=tuple(verdicts),
        before=_builds(facts, request),
        changes=tuple(
            change
            for name, found in facts.heard.items()
            for change in _changes(service, name, found, request)
        ),
        groups=groups,
    )


def is_current(
    service: Service, name: str, found: ServiceHostFacts, request: RedeployRequest
) -> bool:
    """Whether the wanted release runs there and has been found healthy."""
    release = request.release(name, found)
    known = found.releases.get(release)
    return (
        found.current == release
        and known is not None
        and known.healthy
        and runs_current(service, found)
        and request.unit in ("", found.unit.digest)
        and (service.socket is None or found.unit.socket)
    )


def runs_current(service: Service, found: ServiceHostFacts) -> bool:
    """Whether the unit is active, and its process works in the current release."""
    inside = f"{service.directory}/releases/{found.current}"
    by_nginx = service.type is ServiceType.STATIC
    return found.unit.active == "active" and (by_nginx or found.unit.running_in == inside)


def switch_groups(
    service: Service,
    facts: ServiceFacts,
    steps_of: Callable[[str], tuple[Step, ...]],
    *,
    kept_after: str,
) -> tuple[Group, ...]:
    """The first host alone, then the others in batches; hosts without steps are left out.

    Args:
        steps_of: The steps of a host; none when it is left alone.
        kept_after: Name of the step that proves the release: what fails later is no reason to go back.
    """
    steps = {name: own for name in facts.heard if (own := steps_of(name))}
    names, size = list(steps), service.redeploy.batch
    batches = [names[:1], *(names[at : at + size] for at in range(1, len(names), size))]
    return tuple(
        Group(
            title=", ".join(batch),
            member=", ".join(batch),
            steps=tuple(step for name in batch for step in steps[name]),
            parallel=len(batch) > 1,
            kept_after=kept_after,
        )
        for batch in batches
        if batch
    )


def _builds(facts: ServiceFacts, request: RedeployRequest) -> tuple[Step, ...]:
    """What is made on the controller: once for each architecture that needs it."""
    needing = {
        found.host.architecture
        for name, found in facts.heard.items()
        if request.release(name, found) not in found.releases
    }
    return tuple(BuildHere(one) for one in sorted(needing)) if request.builds_here else ()


def _stage(service: Service, facts: ServiceFacts, request: RedeployRequest) -> tuple[Group, ...]:
    steps = tuple(
        step
        for name, found in facts.heard.items()
        for step in _stage_host(service, name, found, request)
    )
    return (Group("stage", "", steps, parallel=True),) if steps else ()


def _stage_host(
    service: Service, name: str, found: ServiceHostFacts, request: RedeployRequest
) -> Iterator[Step]:
    if is_current(service, name, found, request):
        return
    release, key = request.release(name, found), request.dependencies[name]
    if release not in found.releases:
        if found.layout != "releases":
            yield PrepareService(name)
        if key and key not in found.dependencies:
            yield InstallDependencies(name, key)
        # What is not as it was shipped is no base.
        yield StageRelease(name, release, "" if name in request.drifted else found.current or "")
        if request.builds_on_host:
            yield BuildRelease(name, release)


def _switch(
    service: Service, name: str, found: ServiceHostFacts, request: RedeployRequest
) -> tuple[Step, ...]:
    if is_current(service, name, found, request):
        return ()
    release, wanted = request.release(name, found), service.redeploy
    adopts = found.layout == "flat" or (found.adopting and not _has_adopted(found))
    steps: list[Step] = []
    if found.layout == "flat":
        # Right before, and anew each time: what was changed since an adoption that was put back counts.
        steps.append(KeepFlat(name, FLAT))
    if wanted.pre_deploy_hook:
        steps.append(RunHook(name, release, "before"))
    if adopts:
        steps.append(AdoptService(name, release, FLAT))
    else:
        steps.append(SwitchRelease(name, release, previous_of(found, release)))
    steps.append(AwaitService(name, release))
    if wanted.post_deploy_hook:
        steps.append(RunHook(name, release, "after"))
    if adopts or found.adopting:
        steps.append(ClearFlat(name))
    if len(found.releases.keys() | {release}) > wanted.keep_releases:
        steps.append(PruneReleases(name))
    return tuple(steps)


def _has_adopted(found: ServiceHostFacts) -> bool:
    """Whether a release that is not the flat one has been healthy: then there is no way back to flat."""
    return any(one.healthy for name, one in found.releases.items() if name != FLAT)


def previous_of(found: ServiceHostFacts, release: str) -> str:
    """The release to go back to: the one that serves, or before a switch that was cut off, did.

    One that was healthy comes first: a switch that was cut off may have been to a broken one.
    """
    served = [one for one in (found.current, found.previous) if one and one in found.releases]
    proven = [one for one in served if one == FLAT or found.releases[one].healthy]
    return next((one for one in (*proven, *served) if one != release), "")


def _clean(service: Service, facts: ServiceFacts, request: RedeployRequest) -> tuple[Group, ...]:
    """What a run that was cut off after its last switch has left."""
    steps = tuple(
        ClearFlat(name)
        for name, found in facts.heard.items()
        if found.adopting and is_current(service, name, found, request)
    )
    return (Group("clean up", "", steps, parallel=True),) if steps else ()


def _changes(
    service: Service, name: str, found: ServiceHostFacts, request: RedeployRequest
) -> Iterator[Change]:
    """Why something is done on a host."""
    if is_current(service, name, found, request):
        return
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
        yield Change(name, "process", found.unit.active, "active in the current release")
    elif current.recipe == request.recipe and request.unit not in ("", found.unit.digest):
        yield Change(name, "unit file", "edited on the host", "as rendered")


def _named(files: Difference) -> str:
    """How many files differ, and the first of them by name."""
    changed = [printed(entry.path) for entry in files.changed]
    names = [*changed, *(f"{printed(path)} (deleted)" for path in files.deleted)]
    more = ", …" if len(names) > MAX_NAMED else ""
    counts = f"{len(changed)} new or changed, {len(files.deleted)} deleted"
    return f"{counts}: {', '.join(names[:MAX_NAMED])}{more}"


def _title(
    service: Service, facts: ServiceFacts, request: RedeployRequest, groups: Sequence[Group]
) -> str:
    switched = [step for group in groups for step in group.steps if isinstance(step, AwaitService)]
    if not switched:
        return f"clean up after the last redeployment of {service.name}"
    hosts = f"{len(switched)} of {len(facts.hosts)} hosts"
    return f"redeploy {service.name} on {hosts}: {request.note or switched[0].release}"


def _nothing(service: Service, title: str, verdicts: Sequence[Verdict]) -> Plan:
    return Plan(OPERATION, service.subject, "nothing", title, verdicts=tuple(verdicts))
