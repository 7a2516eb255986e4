"""A controller that is stopped in the middle of a roll, and wakes up in the middle of somebody else's."""

from __future__ import annotations

import signal
import sqlite3
import time
from contextlib import closing

from quoracy.errors import QuoracyError
from tests.faults.faults_cases import STOPPED_APART, Under, UnderResult
from tests.faults.faults_child import Controller, Ended, run
from tests.faults.faults_kills import judged
from tests.faults.faults_makers import age_claim, other_controller
from tests.faults.faults_rig import Rig, settled

STOPPED_S = 120.0
#: How it says that it may no longer act: a host has seen a higher number, or the lease is another's.
_TRUE = (
    "a later operation has already acted there",
    "another operation has taken over",
)


def run_stopped(
    rig: Rig, case: Under, result: UnderResult, *, stopped_s: float = STOPPED_S
) -> None:
    """Stop one controller in the step, let another take over, wake the first in the other's roll.

    Args:
        stopped_s: Seconds of standing still; with 0 the claim is made two minutes older instead.
    """
    order = rig.order(step=case.step, number=case.number)
    apart = case.fault == STOPPED_APART
    with rig.watched() as judge:
        with Controller(order) as first:
            reached = first.reached(120.0)
            if reached is None:
                raise QuoracyError(f"the step was not reached: {first.end().outcomes}")
            _stop(first, rig)
            # Its script on the host goes on, as a script does whose controller hangs.
            if reached[1]:
                first.go_on(reached[1])
            time.sleep(stopped_s)
            if not stopped_s:
                age_claim(rig, 120)
            home = other_controller(rig, "other-home") if apart else rig.home.path
            _take_over(rig, str(home), first, reached[1], result)
        if not result.problem:
            again = run(rig.order(home=str(home), runs=2))
            result.problem = settled(rig, again, rig.version)
            if not result.problem:
                result.seen = judge.verdict()
                result.problem = judged(result.seen)


def _stop(controller: Controller, rig: Rig) -> None:
    """Stop the process, not in the middle of a write to its database.

    There it would hold SQLite's lock for as long as it stands still: nobody else could begin, which
    is safe, and another case than this one.
    """
    for _ in range(1000):
        controller.signal(signal.SIGSTOP)
        time.sleep(0.02)
        with closing(sqlite3.connect(rig.home.path / "quoracy.db", timeout=0.1)) as database:
            try:
                database.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                controller.signal(signal.SIGCONT)
                time.sleep(0.01)
                continue
        return
    raise QuoracyError("the controller writes to its database all the time")


def _take_over(rig: Rig, home: str, first: Controller, mark: str, result: UnderResult) -> None:
    """The second controller holds in its own roll while the first wakes up."""
    order = rig.order(home=home, step="await-member", number=0)
    with Controller(order) as second:
        reached = second.reached(180.0)
        if reached is None:
            _refused(second.end(), first, mark, result)
            return
        before = _traces(rig)
        first.signal(signal.SIGCONT)
        if not mark:
            first.go_on("")
        woken = first.end(300.0)
        touched = _traces(rig) != before
        second.go_on(reached[1])
        ended = second.end(300.0)
    result.outcome = f"the first stopped ({woken.outcomes[0]}), the second {ended.outcomes[0]}"
    result.message = woken.message
    if touched:
        result.problem = f"the woken controller changed something: {woken.outcomes} {woken.message}"
    elif not any(words in woken.message for words in _TRUE):
        result.problem = f"the woken controller does not say why: {woken.outcomes} {woken.message}"
    elif ended.outcomes != ["done"]:
        result.problem = f"the second ended {ended.outcomes}: {ended.message}"


def _refused(ended: Ended, first: Controller, mark: str, result: UnderResult) -> None:
    """An upload of the first still has the host's lock: the second is refused, and the first ends well."""
    first.signal(signal.SIGCONT)
    if not mark:
        first.go_on("")
    woken = first.end(300.0)
    result.outcome = f"the second was refused ({ended.outcomes[0]}), the first {woken.outcomes[0]}"
    result.message = ended.message
    if ended.outcomes != ["LeaseHeld"]:
        result.problem = f"the second did not take over: {ended.outcomes} {ended.message}"
    elif woken.outcomes != ["done"]:
        result.problem = f"the woken controller ended {woken.outcomes}: {woken.message}"


def _traces(rig: Rig) -> object:
    """What a changing script would leave: files and processes, but for the claim, which is repeated."""
    claims = f"/var/lib/quoracy/{rig.name}"
    files = {
        host: {path: file for path, file in found.items() if not path.startswith(claims)}
        for host, found in rig.watch.files().items()
    }
    return files, rig.watch.restarts()
