"""The plan of `service-rollback`: an older release, which is still on the hosts, serves again. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from quoracy.operation.plan import Change, Plan
from quoracy.operation.step import Step
from quoracy.operation.verdict import Verdict, failed
from quoracy.services.facts import ServiceHostFacts
from quoracy.services.facts_site import ServiceFacts
from quoracy.services.plan.refusals import refuse_hosts
from quoracy.services.plan.switching import (
    is_proven,
    previous_of,
    runs_current,
    switch_groups,
    way_back,
)
from quoracy.services.spec import Service
from quoracy.services.steps import FLAT, AwaitService, SwitchRelease

OPERATION = "service-rollback"


def plan_service_rollback(
    service: Service,
    facts: ServiceFacts,
    to: str,
    chosen: Mapping[str, str],
    *,
    canary: bool = True,
) -> Plan:
    """Decide what `service-rollback` does.

    Args:
        to: The release to go back to, or the beginning of its ID; "" is the one that served before.
        chosen: What was chosen for a host before anything was switched: once a host is switched, the
            release that served before is another one.
        canary: Whether the first host goes alone.
    """
    verdicts = refuse_hosts(service, facts)
    if not to and not chosen:
        verdicts += _differing(facts)
    targets = {}
    for name, found in facts.heard.items():
        targets[name], problem = target_of(name, found, chosen.get(name, to))
        verdicts += [problem] if problem else []
    if any(verdict.stops for verdict in verdicts):
        return _nothing(service, f"{service.name} cannot be rolled back", verdicts)
    named = ", ".join(sorted(set(targets.values())))
    groups = switch_groups(
        service,
        facts,
        lambda name: _switch(service, facts.heard[name], name, targets[name]),
        kept_after=AwaitService.name,
        canary=canary,
    )
    if not groups:
        return _nothing(service, f"{named} of {service.name} runs on all hosts", verdicts)
    return Plan(
        operation=OPERATION,
        cluster=service.subject,
        kind="rollback",
        title=f"roll {service.name} back to {named}",
        verdicts=tuple(verdicts),
        changes=tuple(
            Change(name, "release", found.current or "", targets[name])
            for name, found in facts.heard.items()
            if found.current != targets[name] and found.layout != "flat"
        ),
        groups=groups,
        way_back=way_back(service, groups),
    )


def _differing(facts: ServiceFacts) -> list[Verdict]:
    """After a batch that failed, "before" means something else on each host."""
    current = {
        (one.source, one.recipe) if (one := found.releases.get(found.current or "")) else None
        for found in facts.heard.values()
    }
    if len(current) < 2:
        return []
    running = ", ".join(f"{name}: {found.current}" for name, found in facts.heard.items())
    return [
        failed(
            "ReleasesDiffer",
            f"the hosts run different releases ({running})",
            next_step="name the one that is wanted with --to",
        )
    ]


def target_of(name: str, found: ServiceHostFacts, to: str) -> tuple[str, Verdict | None]:
    """The release to go back to on a host, or why there is none."""
    if found.layout == "flat":
        return (FLAT, None) if to == FLAT else ("", _not_adopted(name))
    if to:
        meant = [one for one in found.releases if one == to] or [
            one for one in found.releases if one.startswith(to)
        ]
    else:
        meant = _before(found)
    if len(meant) == 1:
        return meant[0], None
    if to:
        said = f"several releases begin with {to}" if meant else f"there is no release {to}"
    else:
        said = "there is no release to go back to"
    return "", failed(
        "ReleaseMissing",
        said,
        where=name,
        next_step=_others(found),
    )


def _others(found: ServiceHostFacts) -> str:
    """The releases beside the one that runs, newest first, and which of them never served well."""
    newest = sorted(found.releases.values(), key=lambda one: -one.created_s)
    named = ", ".join(
        one.id if is_proven(found, one.id) else f"{one.id} (never healthy)"
        for one in newest
        if one.id != found.current
    )
    return f"there are beside the one that runs: {named}" if named else "redeploy the older code"


def _not_adopted(name: str) -> Verdict:
    return failed(
        "ReleaseMissing",
        "there is no release to go back to: the service runs right in its directory",
        where=name,
        next_step="redeploy it, which makes releases of it",
    )


def _before(found: ServiceHostFacts) -> list[str]:
    """The release that served well before, or else the newest of those that did and are older."""
    served = found.previous
    if served and served != found.current and served in found.releases and is_proven(found, served):
        return [served]
    current = found.releases.get(found.current or "")
    older = [
        one
        for one in found.releases.values()
        if is_proven(found, one.id) and (current is None or one.created_s < current.created_s)
    ]
    newest = sorted(older, key=lambda one: one.created_s)[-1:]
    return [one.id for one in newest]


def _switch(service: Service, found: ServiceHostFacts, name: str, target: str) -> tuple[Step, ...]:
    if found.layout == "flat":
        return ()
    known = found.releases[target]
    if found.current == target and known.healthy and runs_current(service, found):
        return ()
    # When the older one does not serve either, the one that serves now comes back.
    return (SwitchRelease(name, target, previous_of(found, target)), AwaitService(name, target))


def _nothing(service: Service, title: str, verdicts: list[Verdict]) -> Plan:
    return Plan(OPERATION, service.subject, "nothing", title, verdicts=tuple(verdicts))
