"""The kill sweep: the controller dies before, in the middle of and after every changing call.

First an operation is recorded undisturbed: its changing calls, and how many commands each script has.
Then each (call, before | middle | after) is a case of its own: the controller dies there by SIGKILL,
another process runs the same operation again, and it must converge: "done", then "nothing to do".
"""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bench.faults_child import Ended, run
from bench.faults_rig import NEW, OLD, Rig, Seen, settled
from bench.faults_tap import Call, Point, Recorded
from quoracy.errors import QuoracyError

Operation = Literal["create", "upgrade"]
#: A claim is repeated at every beat of the lease, so how often depends on how long the run takes.
_CLAIM, _CLAIMS = "claim the host", 2
#: Calls that find their work done when an earlier case has left it: for them it is taken away.
_PREPARATION = ("make user", "install", "stage", "write")


@dataclass(frozen=True, slots=True)
class Kill:
    """One case of the sweep; `commands` is how many the script had when it was recorded."""

    operation: Operation
    members: int
    point: Point
    commands: int

    @property
    def title(self) -> str:
        """One line for the progress."""
        call, point = self.point.call, self.point
        place = {"before": "before", "middle": "in the middle of", "after": "after"}[point.when]
        at = f" (command {point.commands} of {self.commands})" if point.when == "middle" else ""
        host = f" on {call.host}" if call.host else ""
        both = ", power of the host cut as well" if point.with_host else ""
        return f"{self.operation} of {self.members}: killed {place} '{call.what}'{host}{at}{both}"


@dataclass(frozen=True, slots=True)
class KillResult:
    """What became of a case.

    Attributes:
        died: Where the controller really died: before, middle, after; late when the script had just
            ended; "" when the call did not come about this time, so that it was not killed.
        outcome: How the next run ended.
        problem: Why it is no success; "" when it is one.
        seen: What writer and watcher saw; of a create, nothing.
    """

    case: Kill
    died: str
    outcome: str
    problem: str
    seen: Seen
    seconds: float


def points(
    operation: Operation, members: int, recorded: Iterable[Recorded], seed: int
) -> list[Kill]:
    """All kill points of an operation as it was recorded, and one power cut for each kind of call.

    Of the claims of a host the first counts and one that a beat has repeated: it is the same script.
    """
    dice = random.Random(f"{seed} {operation} {members}")  # noqa: S311  reproducible, no secret
    calls = [
        one
        for one in _anywhere(list(recorded))
        if one.call.what != _CLAIM or one.call.occurrence < _CLAIMS
    ]
    found: list[Kill] = []
    for one in calls:
        command = dice.randint(1, max(1, one.commands - 1))
        for point in (
            Point(one.call, "before"),
            Point(one.call, "middle", command),
            Point(one.call, "after"),
        ):
            found.append(Kill(operation, members, point, one.commands))
    for what in sorted({one.call.what for one in calls}):
        one = dice.choice([one for one in calls if one.call.what == what])
        command = dice.randint(1, max(1, one.commands - 1))
        point = Point(one.call, "middle", command, with_host=True)
        if one.call.host:
            found.append(Kill(operation, members, point, one.commands))
    return found


def _anywhere(recorded: Sequence[Recorded]) -> list[Recorded]:
    """Calls that are made on one host only are awaited on any: which one it is may differ."""
    hosts: dict[str, set[str]] = {}
    for one in recorded:
        hosts.setdefault(one.call.what, set()).add(one.call.host)
    return [
        replace(one, call=Call("", one.call.what, one.call.occurrence))
        if len(hosts[one.call.what]) == 1
        else one
        for one in sorted(recorded, key=lambda one: (one.call.what, one.call.host))
    ]


def record(rig: Rig, operation: Operation) -> list[Recorded]:
    """Run the operation undisturbed and return its changing calls.

    Raises:
        QuoracyError: It did not end as done, or no changing call was seen.
    """
    if operation == "create":
        rig.raze()
        rig.apply(OLD)
        keep_home(rig)
    else:
        rig.apply(NEW if rig.version == OLD else OLD)
        unprepare(rig)
    ended = run(rig.order(record=True))
    if ended.outcomes != ["done"] or not ended.recorded:
        raise QuoracyError(f"the {operation} to be recorded: {ended.outcomes} {ended.message}")
    return ended.recorded


def keep_home(rig: Rig) -> None:
    """Keep the controller's home as it is before a create, for `fresh_home`."""
    template = rig.place.with_name(f"{rig.place.name}-template")
    shutil.rmtree(template, ignore_errors=True)
    shutil.copytree(rig.place, template)


def fresh_home(rig: Rig) -> None:
    """Put the controller's home back to before the create; making a new database takes longer."""
    shutil.rmtree(rig.place, ignore_errors=True)
    shutil.copytree(rig.place.with_name(f"{rig.place.name}-template"), rig.place)


def unprepare(rig: Rig) -> None:
    """Take from the hosts what an upgrade prepares: the release, and generations not in use."""
    config, release = rig.cluster.config_dir, rig.cluster.release_dir(rig.version)
    rig.everywhere(
        f"rm -rf {release}; cd {config}/generations && for one in *; do "
        f'[ "generations/$one" = "$(readlink ../current)" ] || rm -rf "$one"; done'
    )


def run_kill(rig: Rig, case: Kill) -> KillResult:
    """Run one case."""
    began = time.monotonic()
    body = _create if case.operation == "create" else _upgrade
    try:
        died, outcome, problem, seen = body(rig, case)
        if died == "late" and not problem:  # once more, at an earlier command
            earlier = replace(case.point, commands=max(1, case.point.commands // 2))
            case = replace(case, point=earlier)
            died, outcome, problem, seen = body(rig, case)
    except QuoracyError as error:
        died, outcome, problem, seen = "", "", f"{type(error).__name__}: {error}", Seen()
    if problem and case.operation == "upgrade":
        rig.create(OLD)
    return KillResult(case, died, outcome, problem, seen, time.monotonic() - began)


def _create(rig: Rig, case: Kill) -> tuple[str, str, str, Seen]:
    rig.raze(releases=case.point.call.what.startswith(_PREPARATION))
    fresh_home(rig)
    first, second = _killed_and_again(rig, case)
    problem = settled(rig, second, OLD) or _unfinished(first)
    seen = Seen(hashes_equal=not problem and rig.watch.hashkv().equal)
    return first.died, second.outcomes[0], problem or judged(seen), seen


def _upgrade(rig: Rig, case: Kill) -> tuple[str, str, str, Seen]:
    rig.apply(NEW if rig.version == OLD else OLD)
    if case.point.call.what.startswith(_PREPARATION):
        unprepare(rig)
    with rig.watched() as judge:
        first, second = _killed_and_again(rig, case)
        problem = settled(rig, second, rig.version) or _unfinished(first)
        seen = judge.verdict() if not problem else Seen()
    return first.died, second.outcomes[0], problem or judged(seen), seen


def _killed_and_again(rig: Rig, case: Kill) -> tuple[Ended, Ended]:
    first = run(rig.order(point=case.point))
    host = case.point.call.host
    if case.point.with_host and first.died:
        rig.lab.power_off(host)
        rig.lab.power_on(host)
        rig.lab.wait_for_ssh(host)
    return first, run(rig.order(runs=2))


def _unfinished(first: Ended) -> str:
    """A controller that was not killed must have done its work."""
    if first.died or first.outcomes == ["done"]:
        return ""
    return f"before it could be killed it ended {first.outcomes}: {first.message}"


def judged(seen: Seen) -> str:
    """What writer, watcher and hashes have against it; "" when nothing."""
    against = []
    if seen.lost:
        against.append(f"{seen.lost} acknowledged writes lost")
    if seen.below_quorum:
        against.append(f"below quorum {seen.below_quorum} times, {seen.below_quorum_s:.2f} s")
    if not seen.hashes_equal:
        against.append("the members do not hold the same data")
    return "; ".join(against)
