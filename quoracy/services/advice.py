"""What is to be done when a step of a redeployment has failed, where its error does not know."""

from __future__ import annotations

from quoracy.operation.step import Step
from quoracy.services import steps
from quoracy.services.facts import ServiceHostFacts
from quoracy.services.plan.switching import has_way_back
from quoracy.services.spec import Service

_BEFORE = (
    steps.BuildHere,
    steps.PrepareService,
    steps.KeepFlat,
    steps.InstallDependencies,
    steps.StageRelease,
    steps.BuildRelease,
)
_AFTER = (steps.ClearFlat, steps.PruneReleases)


def advice(step: Step, service: Service) -> str:
    """One sentence; every step may be run again, as it looks before it acts."""
    again = "put right what it says and run again"
    if isinstance(step, _BEFORE) or (isinstance(step, steps.RunHook) and step.moment == "before"):
        return f"{again}: the service runs as before, and what is half made is made anew"
    if isinstance(step, _AFTER):
        return f"{again}: the new release serves, and what is left to do is done then"
    return f"see `journalctl -u {service.unit}` on that host, {again}"


def is_kept(step: Step, found: ServiceHostFacts) -> bool:
    """Whether what a step that failed has switched to stays, as there is nothing to go back to.

    Args:
        found: The host as it was before anything was changed.
    """
    match step:
        case steps.SwitchRelease(_, release, _) | steps.AwaitService(_, release):
            pass
        case steps.RunHookAfter(_, release):
            pass
        case _:
            return False
    known = found.releases.get(release)
    # One that was healthy before is what is gone back to, or was asked for by its name.
    is_new = bool(release) and not (known and known.proven)
    return is_new and not has_way_back(found, release)
