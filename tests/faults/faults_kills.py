"""The kill sweep: the controller dies before, in the middle of and after every changing call.

First an operation is recorded undisturbed: its changing calls, and how many commands each script has.
Then each (call, before | middle | after) is a case: the controller dies there by SIGKILL, and another
process runs the same operation again. Several cases that lie one after the other in the operation make
a chain: the process that runs again is killed at the next one. Whoever comes last must converge:
"done", then "nothing to do".
"""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from quoracy.errors import QuoracyError
from tests.faults.faults_child import Ended, run
from tests.faults.faults_rig import NEW, OLD, Rig, Seen, settled
from tests.faults.faults_tap import Call, Point, Recorded

Operation = Literal["create", "upgrade"]
#: A claim is repeated at every beat of the lease: the same script, as often as the run takes long.
_CLAIM = "claim the host"
CHAIN = 10
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
    """All kill points of an operation in the order in which it was recorded, and some power cuts.

    One power cut for each kind of call; of the claims of a host only the first counts.
    """
    dice = random.Random(f"{seed} {operation} {members}")
    calls = [
        one
        for one in _anywhere(list(recorded))
        if one.call.what != _CLAIM or one.call.occurrence == 0
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
    cuts: list[Kill] = []
    for what in sorted({one.call.what for one in calls}):
        one = dice.choice([one for one in calls if one.call.what == what])
        command = dice.randint(1, max(1, one.commands - 1))
        point = Point(one.call, "middle", command, with_host=True)
        if one.call.host:
            cuts.append(Kill(operation, members, point, one.commands))
    place = {case.point.call: number for number, case in enumerate(found)}
    return sorted([*found, *cuts], key=lambda case: place[case.point.call])


def chains(cases: Sequence[Kill], length: int = CHAIN) -> list[list[Kill]]:
    """Cases in the operation's order, dealt out so that those of one chain lie far apart in it."""
    count = -(-len(cases) // length)
    return [list(cases[number::count]) for number in range(count)]


def _anywhere(recorded: Sequence[Recorded]) -> list[Recorded]:
    """Calls that are made on one host only are awaited on any: which one it is may differ."""
    hosts: dict[str, set[str]] = {}
    for one in recorded:
        hosts.setdefault(one.call.what, set()).add(one.call.host)
    return [
        replace(one, call=Call("", one.call.what, one.call.occurrence))
        if len(hosts[one.call.what]) == 1
        else one
        for one in recorded
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


def run_kills(rig: Rig, cases: Sequence[Kill]) -> list[KillResult]:
    """Run a chain of cases.

    What writer and watcher saw is told with the last of them. One that was not reached stands there
    with an empty `died`.
    """
    began = time.monotonic()
    here = [_on(rig, case) for case in cases]
    body = _create if here[0].operation == "create" else _upgrade
    try:
        died, outcome, problem, seen = body(rig, here)
    except QuoracyError as error:
        died, outcome, problem, seen = [], "", f"{type(error).__name__}: {error}", Seen()
    if problem and here[0].operation == "upgrade":
        rig.create(OLD)
    seconds = (time.monotonic() - began) / len(here)
    died += [""] * (len(here) - len(died))
    return [
        KillResult(case, where, outcome, problem, seen if case is here[-1] else Seen(), seconds)
        for case, where in zip(here, died, strict=True)
    ]


def _on(rig: Rig, case: Kill) -> Kill:
    """The case on this rig's hosts: the operation was recorded on the first lab's."""
    call = case.point.call
    if not call.host:
        return case
    host = f"{rig.lab.name}-{call.host.rpartition('-')[2]}"
    return replace(case, point=replace(case.point, call=replace(call, host=host)))


def _create(rig: Rig, cases: Sequence[Kill]) -> tuple[list[str], str, str, Seen]:
    rig.raze(releases=any(_prepares(case) for case in cases))
    fresh_home(rig)
    died, first, second = _killed_and_again(rig, cases)
    problem = settled(rig, second, OLD) or _unfinished(first)
    seen = Seen(hashes_equal=not problem and rig.watch.hashkv().equal)
    return died, second.outcomes[0], problem or judged(seen), seen


def _upgrade(rig: Rig, cases: Sequence[Kill]) -> tuple[list[str], str, str, Seen]:
    rig.apply(NEW if rig.version == OLD else OLD)
    if any(_prepares(case) for case in cases):
        unprepare(rig)
    with rig.watched() as judge:
        died, first, second = _killed_and_again(rig, cases)
        problem = settled(rig, second, rig.version) or _unfinished(first)
        seen = judge.verdict() if not problem else Seen()
    return died, second.outcomes[0], problem or judged(seen), seen


def _prepares(case: Kill) -> bool:
    return case.point.call.what.startswith(_PREPARATION)


def _killed_and_again(rig: Rig, cases: Sequence[Kill]) -> tuple[list[str], Ended, Ended]:
    """Kill one process after the other, then let one end; where they died, and the last two ends."""
    died: list[str] = []
    for case in cases:
        first = run(rig.order(point=case.point))
        died.append(first.died)
        if not first.died:
            break  # the call did not come about, and the operation is done
        host = case.point.call.host
        if case.point.with_host:
            rig.lab.power_off(host)
            rig.lab.power_on(host)
            rig.lab.wait_for_ssh(host)
    return died, first, run(rig.order(runs=2))


def _unfinished(first: Ended) -> str:
    """A controller that was not killed must have done its work, or found it done."""
    if first.died or first.outcomes in (["done"], ["nothing_to_do"]):
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
