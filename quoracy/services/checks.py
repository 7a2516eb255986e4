"""The gate of a redeployment: is what was switched to what now serves, and does it go on to? Pure.

Unknown is not a pass: an answer that did not come counts against the release, and 404 and 3xx do, too.
"""

from __future__ import annotations

from collections.abc import Sequence

from quoracy.operation.verdict import Verdict, failed, passed
from quoracy.services.facts_state import UnitState
from quoracy.services.layout import web_root
from quoracy.services.spec import Service, ServiceType

HTTP_PORT = 80
"""Where nginx listens unless the service says otherwise."""
NO_ANSWER = "NoAnswer"
CRASHES = 2
"""Restarts by systemd after which waiting longer is of no use."""


def check_gate(
    service: Service, begin: UnitState, end: UnitState, answers: Sequence[bool]
) -> Verdict:
    """Whether the release is healthy.

    Args:
        begin: The unit before the first of the answers.
        end: The unit after the last of them.
        answers: Whether each was 2xx, oldest first.
    """
    process = check_process(service, end)
    if process.stops:
        return process
    if not begin.same_process(end):
        return failed("Restarted", "the service was restarted while it was watched")
    wanted = service.redeploy.health_check_successes
    if len(answers) < wanted or not all(answers[-wanted:]):
        return failed("NotHealthy", f"it has not answered 2xx {wanted} times in a row")
    return passed("Healthy", f"{wanted} answers 2xx in a row, from one process")


def check_process(service: Service, state: UnitState) -> Verdict:
    """Whether the unit runs, from the release, with its port to itself; nginx works nowhere."""
    if not state.running:
        return failed("NotRunning", f"the unit is {told(state)}")
    if service.type is not ServiceType.STATIC and not state.inside:
        place = state.works_in or "an unknown place"
        return failed("AnotherRelease", f"the process works in {place}, not in the release")
    if state.stranger:
        return failed(
            "AnotherAnswers",
            f"something else answers on port {service.port}",
            next_step=f"`ss -ltnp` on the host says which process, that the unit {service.unit} has "
            "not started now; give the service another app_port, or let its unit end all it starts",
        )
    return passed("Running", "the unit runs from the release")


def check_answer(
    service: Service, path: str, *, status: int, problem: str, same_file: bool | None
) -> Verdict:
    """Whether an answer of the service speaks for the release.

    Args:
        status: 0 when none came; `problem` says why.
        same_file: static: whether its body is the release's file; None when there is no such file.
    """
    is_2xx = 200 <= status < 300
    if is_2xx and same_file is not False:
        return passed("Answered", f"GET {path}: {status}")
    # The release has the file: then it is nginx that does not look for it there.
    advice = (
        f"let nginx serve {web_root(service)} on port {service.port or HTTP_PORT} "
        "(see docs/service-config.md), and reload it"
        if same_file is not None
        else ""
    )
    if is_2xx:
        said = f"GET {path}: {status}, but it is not the file of the release"
        return failed("AnotherFile", said, next_step=advice)
    said = f"GET {path}: {problem or f'status {status}'}"
    return failed("AnotherStatus" if status else NO_ANSWER, said, next_step=advice)


def check_alive(first: UnitState, now: UnitState) -> Verdict:
    """Whether there is still something to wait for."""
    if now.active == "failed":
        return failed("UnitFailed", "systemd has given the unit up")
    if now.restarts - first.restarts >= CRASHES:
        return failed("CrashLoop", f"the service has ended {now.restarts - first.restarts} times")
    return passed("Alive", "the unit may still become healthy")


def told(state: UnitState) -> str:
    """The unit's state in words."""
    count = state.restarts
    times = f", restarted {count} time{'s' if count > 1 else ''}" if count else ""
    return f"{state.active} ({state.sub}){times}"
