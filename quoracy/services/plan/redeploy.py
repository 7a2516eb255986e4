"""The plan of `service-redeploy`: stage everywhere, then switch the first host, then the rest. Pure.

Whatever takes time (transfer, dependencies, build) happens beside the release that serves. Then the
first host is switched alone; the others follow in batches only when it is healthy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from quoracy.operation.plan import Group, Plan
from quoracy.operation.step import Step
from quoracy.operation.verdict import Verdict
from quoracy.services.facts import ServiceHostFacts
from quoracy.services.facts_site import ServiceFacts
from quoracy.services.plan.changes import changes_of
from quoracy.services.plan.refusals import refuse_service, refuse_without_bus
from quoracy.services.plan.request import RedeployRequest
from quoracy.services.plan.switching import previous_of, runs_current, switch_groups, way_back
from quoracy.services.spec import Service
from quoracy.services.steps import (
    FLAT,
    AdoptService,
    AwaitService,
    BuildHere,
    BuildRelease,
    ClearFlat,
    InstallDependencies,
    KeepFlat,
    PrepareService,
    PruneReleases,
    RunHookAfter,
    RunHookBefore,
    StageRelease,
    SwitchRelease,
)

OPERATION = "service-redeploy"


def plan_service_redeploy(
    service: Service, facts: ServiceFacts, request: RedeployRequest, *, canary: bool = True
) -> Plan:
    """Decide what `service-redeploy` does.

    Args:
        canary: Whether the first host goes alone; not once one of this operation has proved the release.

    Returns:
        A plan; when a check stands against it, `plan.refused` is true and it is only shown.
    """
    verdicts = refuse_service(service, facts, request)
    cannot = f"{service.name} cannot be redeployed"
    if any(verdict.stops for verdict in verdicts):
        return _nothing(service, cannot, verdicts)
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
            kept_after=RunHookAfter.name
            if service.redeploy.post_deploy_hook
            else AwaitService.name,
            canary=canary,
        ),
        *_clean(service, facts, request),
    )
    if not groups:
        return _nothing(service, f"this code of {service.name} runs on all hosts", verdicts)
    steps = (step for group in groups for step in group.steps)
    if missing := refuse_without_bus(service, facts, steps):
        return _nothing(service, cannot, [*verdicts, *missing])
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
            if not is_current(service, name, found, request)
            for change in changes_of(service, name, found, request)
        ),
        groups=groups,
        way_back=way_back(service, groups),
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


def _builds(facts: ServiceFacts, request: RedeployRequest) -> tuple[Step, ...]:
    """What is made on the controller: once for each architecture that needs it."""
    needing = {
        found.host.architecture
        for name, found in facts.heard.items()
        if request.release(name, found) not in found.releases
    }
    return tuple(BuildHere("", one) for one in sorted(needing)) if request.builds_here else ()


def _stage(service: Service, facts: ServiceFacts, request: RedeployRequest) -> tuple[Group, ...]:
    steps = tuple(
        step
        for name, found in facts.heard.items()
        for step in _stage_host(service, name, found, request)
    )
    return (Group("stage", (), steps, parallel=True),) if steps else ()


def _stage_host(
    service: Service, name: str, found: ServiceHostFacts, request: RedeployRequest
) -> Iterator[Step]:
    if is_current(service, name, found, request):
        return
    release, key = request.release(name, found), request.dependencies[name]
    if _needs_preparing(found, release, request):
        yield PrepareService(name)
    if release not in found.releases:
        if key and key not in found.dependencies:
            yield InstallDependencies(name, key)
        # What is not as it was shipped is no base.
        yield StageRelease(name, release, "" if name in request.drifted else found.current or "")
        if request.builds_on_host:
            yield BuildRelease(name, release)


def _needs_preparing(found: ServiceHostFacts, release: str, request: RedeployRequest) -> bool:
    """Whether user and directories may not be there: what a recipe says may ask for others."""
    if release in found.releases:
        return not found.prepared
    current = found.releases.get(found.current or "")
    return not found.prepared or current is None or current.recipe != request.recipe


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
        steps.append(RunHookBefore(name, release))
    if adopts:
        steps.append(AdoptService(name, release, FLAT))
    else:
        steps.append(SwitchRelease(name, release, previous_of(found, release)))
    steps.append(AwaitService(name, release))
    if wanted.post_deploy_hook:
        steps.append(RunHookAfter(name, release))
    if adopts or found.adopting:
        steps.append(ClearFlat(name))
    kept = {*found.releases, release, *([FLAT] if found.layout == "flat" else ())}
    if len(kept) > wanted.keep_releases:
        steps.append(PruneReleases(name))
    return tuple(steps)


def _has_adopted(found: ServiceHostFacts) -> bool:
    """Whether a release that is not the flat one has been healthy: then there is no way back to flat."""
    return any(one.proven for name, one in found.releases.items() if name != FLAT)


def _clean(service: Service, facts: ServiceFacts, request: RedeployRequest) -> tuple[Group, ...]:
    """What a run that was cut off after its last switch has left."""
    steps = tuple(
        ClearFlat(name)
        for name, found in facts.heard.items()
        if found.adopting and is_current(service, name, found, request)
    )
    return (Group("clean up", (), steps, parallel=True),) if steps else ()


def _title(
    service: Service, facts: ServiceFacts, request: RedeployRequest, groups: Sequence[Group]
) -> str:
    switched = [step for group in groups for step in group.steps if isinstance(step, AwaitService)]
    if not switched:
        return f"clean up after the last redeployment of {service.name}"
    alone = len(facts.hosts) == 1
    hosts = switched[0].host if alone else f"{len(switched)} of {len(facts.hosts)} hosts"
    note = f" ({request.note})" if request.note else ""
    return f"redeploy {service.name} on {hosts}: {switched[0].release}{note}"


def _nothing(service: Service, title: str, verdicts: Sequence[Verdict]) -> Plan:
    return Plan(OPERATION, service.subject, "nothing", title, verdicts=tuple(verdicts))
