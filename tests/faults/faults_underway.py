"""Faults under way: at each step of a roll something goes wrong, at a host or at the controller.

The step's first changing script is held between its guard and its own first command; there the fault
is made and the script goes on. A step without a changing script (await-member) is held before it begins.
"""

from __future__ import annotations

import time
from contextlib import ExitStack

from quoracy.errors import QuoracyError
from tests.faults.faults_cases import (
    CONTROLLER_DISK,
    DATABASE,
    STOPPED,
    STOPPED_APART,
    STORE_DISK,
    Under,
    UnderResult,
)
from tests.faults.faults_child import Controller, Ended, run
from tests.faults.faults_kills import judged, unprepare
from tests.faults.faults_makers import (
    HOST_FAULTS,
    HostFault,
    full,
    locked_database,
    small_disk,
)
from tests.faults.faults_rig import NEW, OLD, Rig, Seen, settled
from tests.faults.faults_stopped import run_stopped

LOCKED_S = 45.0
#: Words for what an error's class stands for; another class stops between two members.
_WORDS = {
    "done": "done",
    "RolledBack": "rolled back",
    "RollbackFailed": "stopped, quorate (could not be put back)",
}


def run_under(rig: Rig, case: Under) -> UnderResult:
    """Run one case; afterwards the cluster is whole, made anew if need be."""
    began = time.monotonic()
    result = UnderResult(case)
    try:
        rig.apply(NEW if rig.version == OLD else OLD)
        unprepare(rig)
        if case.fault in (STOPPED, STOPPED_APART):
            run_stopped(rig, case, result)
        else:
            _run(rig, case, result)
    except QuoracyError as error:
        result.problem = f"{type(error).__name__}: {error}"
    if result.problem:
        for host in rig.hosts:
            rig.lab.power_on(host)
            rig.lab.resume(host)
            rig.lab.heal(host)
            rig.lab.free_disk(host)
            rig.lab.wait_for_ssh(host)
        rig.create(OLD)
    result.seconds = time.monotonic() - began
    return result


def _run(rig: Rig, case: Under, result: UnderResult) -> None:
    before = rig.versions()
    with ExitStack() as stack:
        if case.fault == CONTROLLER_DISK:
            stack.enter_context(small_disk(rig.home.path))
        if case.fault == STORE_DISK:
            stack.enter_context(small_disk(rig.backups))
        judge = stack.enter_context(rig.watched())
        host, ended = _hit(rig, case)
        result.outcome = _WORDS.get(ended.outcomes[0], f"stopped, quorate ({ended.outcomes[0]})")
        result.message = ended.message
        problem = untrue(rig, case, ended, host, before)
        again = run(rig.order(runs=2))
        result.problem = problem or settled(rig, again, rig.version)
        result.seen = judge.verdict() if not result.problem else Seen()
        result.problem = result.problem or judged(result.seen)


def _hit(rig: Rig, case: Under) -> tuple[str, Ended]:
    """Run the operation into the fault, and take the fault back; the host worked on, and the end."""
    with Controller(rig.order(step=case.step, number=case.number)) as controller:
        reached = controller.reached(120.0)
        if reached is None:
            raise QuoracyError(f"the step was not reached: {controller.end().outcomes}")
        host, mark = reached
        hit = _other(rig, host) if case.bystander else host
        fault = next((one for one in HOST_FAULTS if one.name == case.fault), None)
        if fault is not None:
            return host, _at_host(rig, controller, fault, hit, mark)
        return host, _at_controller(rig, controller, case, mark)


def _at_host(rig: Rig, controller: Controller, fault: HostFault, hit: str, mark: str) -> Ended:
    fault.make(rig.lab, hit)
    try:
        controller.go_on(mark)
        if fault.lasts_s is not None:
            time.sleep(fault.lasts_s)
            fault.take_back(rig.lab, hit)
        return controller.end(600.0)
    finally:
        fault.take_back(rig.lab, hit)


def _at_controller(rig: Rig, controller: Controller, case: Under, mark: str) -> Ended:
    if case.fault == DATABASE:
        with locked_database(rig):
            controller.go_on(mark)
            time.sleep(LOCKED_S)
        return controller.end(600.0)
    with full(rig.home.path if case.fault == CONTROLLER_DISK else rig.backups):
        controller.go_on(mark)
        return controller.end(600.0)


def _other(rig: Rig, host: str) -> str:
    """A member that is not worked on."""
    return rig.hosts[(rig.hosts.index(host) + 1) % len(rig.hosts)]


def untrue(rig: Rig, case: Under, ended: Ended, host: str, before: dict[str, str]) -> str:
    """What is not true of the run's last words, by the versions that the members tell; "" when nothing."""
    outcome, message = ended.outcomes[0], ended.message
    found = rig.versions()
    if outcome.startswith("TRACEBACK"):
        return f"a traceback instead of a message: {message}"
    if outcome == "done" and set(found.values()) != {rig.version}:
        return f"it said done, but the members run {found}"
    if outcome == "RolledBack" and found[host] != before[host]:
        return f"it said rolled back, but {host} runs {found[host]!r}, before it was {before[host]}"
    at_host = case.fault not in (CONTROLLER_DISK, STORE_DISK, DATABASE)
    hit = _other(rig, host) if case.bystander else host
    # A member that the fault itself has taken down has nothing to say yet.
    changed = {name for name, one in found.items() if one != before[name] and (one or name != hit)}
    if "nothing was changed" in message and changed:
        return f"it said that nothing was changed, but the members run {found}"
    if outcome != "done" and at_host and hit not in message:
        return f"its message does not name {hit}: {message}"
    return ""
