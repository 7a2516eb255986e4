"""Which hosts are switched when, from which release, and how they come back. Pure.

The first host is switched alone; the others follow in batches only when it is healthy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from quoracy.operation.plan import Group, Plan
from quoracy.operation.step import Step
from quoracy.services.facts import ServiceHostFacts
from quoracy.services.facts_site import ServiceFacts
from quoracy.services.layout import public_path
from quoracy.services.spec import Service, ServiceType
from quoracy.services.steps import FLAT, AdoptService, SwitchRelease


def switch_groups(
    service: Service,
    facts: ServiceFacts,
    steps_of: Callable[[str], tuple[Step, ...]],
    *,
    kept_after: str,
    canary: bool,
) -> tuple[Group, ...]:
    """The first host alone, then the others in batches; hosts without steps are left out.

    Args:
        steps_of: The steps of a host; none when it is left alone.
        kept_after: Name of the step that proves the release: what fails later is no reason to go back.
        canary: Whether the first one goes alone.
    """
    steps = {name: own for name in facts.heard if (own := steps_of(name))}
    names, size = list(steps), service.redeploy.batch
    first = 1 if canary else 0
    batches = [names[:first], *(names[at : at + size] for at in range(first, len(names), size))]
    return tuple(
        Group(
            title=", ".join(batch),
            hosts=tuple(batch),
            steps=tuple(step for name in batch for step in steps[name]),
            parallel=len(batch) > 1,
            kept_after=kept_after,
        )
        for batch in batches
        if batch
    )


def is_canary_due(shown: Plan, done: frozenset[str]) -> bool:
    """Whether no host has been switched yet by the operation that shows a plan.

    Args:
        done: Titles of its groups that are done.
    """
    return not any(group.hosts and group.title in done for group in shown.groups)


def way_back(service: Service, groups: Sequence[Group]) -> str:
    """How hosts are taken back where the release has proved itself, when it has not on another one."""
    steps = [step for group in groups for step in group.steps]
    served = {step.previous for step in steps if isinstance(step, SwitchRelease)}
    served |= {step.flat for step in steps if isinstance(step, AdoptService)}
    named = sorted(served - {""})
    if not named:
        return ""
    release = named[0] if len(named) == 1 else "RELEASE"
    which = (
        ""
        if len(named) == 1
        else f", with one of those of `quoracy service releases {service.name}`"
    )
    return f"`quoracy service rollback {service.name} --to {release}` takes all hosts back{which}"


def runs_current(service: Service, found: ServiceHostFacts) -> bool:
    """Whether the unit is active, and its process works in the current release; nginx must serve it."""
    inside = f"{service.directory}/releases/{found.current}"
    well = (
        found.web_root == public_path(service)
        if service.type is ServiceType.STATIC
        else found.unit.running_in == inside
    )
    return found.unit.active == "active" and well


def is_proven(found: ServiceHostFacts, release: str) -> bool:
    """Whether a release has served well: the copy of the flat directory did, before it was one."""
    return release == FLAT or found.releases[release].proven


def previous_of(found: ServiceHostFacts, release: str) -> str:
    """The release to go back to: the one that serves, or before a switch that was cut off, did.

    One that was never seen healthy is none: a switch that was cut off, or a first one that failed, was to it.
    """
    served = [one for one in (found.current, found.previous) if one and one in found.releases]
    return next((one for one in served if one != release and is_proven(found, one)), "")


def has_way_back(found: ServiceHostFacts, release: str) -> bool:
    """Whether a host comes back by itself when a release that is new to it fails there."""
    flat = found.layout == "flat" or found.adopting
    return flat or bool(previous_of(found, release))
