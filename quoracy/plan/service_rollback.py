"""The plan of `service-rollback`: an older release, which is still on the hosts, serves again. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from quoracy.checks.verdict import Verdict, failed
from quoracy.facts.service import ServiceHostFacts
from quoracy.facts.service_site import ServiceFacts
from quoracy.plan.plan import Change, Plan, Step
from quoracy.plan.service_redeploy import runs_current, switch_groups
from quoracy.plan.service_refusals import refuse_hosts
from quoracy.plan.service_steps import AwaitService, SwitchRelease
from quoracy.spec.service import Service

OPERATION = "service-rollback"


def plan_service_rollback(
    service: Service, facts: ServiceFacts, to: str, chosen: Mapping[str, str]
) -> Plan:
    """Decide what `service-rollback` does.

    Args:
        to: The release to go back to, or the beginning of its ID; "" is the one that served before.
        chosen: What was chosen for a host before anything was switched: once a host is switched, the
            release that served before is another one.
    """
    verdicts = refuse_hosts(service, facts)
    if not to and not chosen:
        verdicts += _differing(facts)
    targets = {}
    for name, found in facts.heard.items():
        targets[name], problem = target_of(name, found, chosen.get(name, to))
        verdicts += [problem] if problem else []
    if any(verdict.stops for verdict in verdicts):
        return _nothing(service, "cannot be decided", verdicts)
    named = ", ".join(sorted(set(targets.values())))
    groups = switch_groups(
        service,
        facts,
        lambda name: _switch(service, facts.heard[name], name, targets[name]),
        kept_after=AwaitService.name,
    )
    if not groups:
        return _nothing(service, f"{named} runs on all hosts", verdicts)
    return Plan(
        operation=OPERATION,
        cluster=service.subject,
        kind="rollback",
        title=f"roll {service.name} back to {named}",
        verdicts=tuple(verdicts),
        changes=tuple(
            Change(name, "release", found.current or "", targets[name])
            for name, found in facts.heard.items()
            if found.current != targets[name]
        ),
        groups=groups,
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
    if to:
        meant = [one for one in found.releases if one == to] or [
            one for one in found.releases if one.startswith(to)
        ]
    elif found.previous and found.previous in found.releases:
        meant = [found.previous]
    else:
        meant = _newest_before(found)
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
        next_step=f"there are: {', '.join(found.releases) or 'none'}",
    )


def _newest_before(found: ServiceHostFacts) -> list[str]:
    """The newest healthy release that is older than the current one."""
    current = found.releases.get(found.current or "")
    older = [
        one
        for one in found.releases.values()
        if one.healthy and (current is None or one.created_s < current.created_s)
    ]
    newest = sorted(older, key=lambda one: one.created_s)[-1:]
    return [one.id for one in newest]


def _switch(service: Service, found: ServiceHostFacts, name: str, target: str) -> tuple[Step, ...]:
    known = found.releases[target]
    if found.current == target and known.healthy and runs_current(service, found):
        return ()
    # When the older one does not serve either, the one that serves now comes back.
    previous = found.current if found.current in found.releases else None
    back = previous if previous and previous != target else ""
    return (SwitchRelease(name, target, back), AwaitService(name, target))


def _nothing(service: Service, title: str, verdicts: list[Verdict]) -> Plan:
    return Plan(OPERATION, service.subject, "nothing", title, verdicts=tuple(verdicts))
