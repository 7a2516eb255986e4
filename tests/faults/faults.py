"""`make bench-faults`: the kill sweep and the faults under way, on practice hosts; writes docs/reliability.md.

The last line is JSON; everything before it says what was done, case by case. The page is written only
once everything has been run; with --keep that may be in several runs.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.lab import Lab
from quoracy.errors import QuoracyError
from tests.faults.faults_cases import UnderResult, under_cases
from tests.faults.faults_kept import Kept
from tests.faults.faults_kills import KillResult, Operation, chains, points, record, run_kills
from tests.faults.faults_report import figures, write_page
from tests.faults.faults_rig import OLD, Rig
from tests.faults.faults_underway import run_under

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reliability.md"
HOSTS = 5
BUSY_LABS = 3


@dataclass(slots=True)
class Bench:
    """The labs, and what has been found until now."""

    labs: list[Lab]
    place: Path
    options: argparse.Namespace
    kept: Kept
    broken: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    _printing: threading.Lock = field(default_factory=threading.Lock)

    def say(self, text: str) -> None:
        """One line, with the time since the start."""
        minutes, seconds = divmod(int(time.monotonic() - self.began), 60)
        with self._printing:
            print(f"[{minutes:02}:{seconds:02}] {text}", flush=True)

    def sweep(self, operation: Operation, members: int) -> None:
        """Record an operation, then kill it at all of its points, all labs side by side."""
        # Rolls need the processors, faults mostly wait.
        rigs = [self._rig(lab, members) for lab in self.labs[:BUSY_LABS]]
        try:
            # A create starts from nothing; its record leaves a home to begin each case with.
            if operation == "upgrade":
                self._prepare(rigs, lambda rig: rig.create(OLD))
            recorded = self._prepare(rigs, lambda rig: record(rig, operation))[0]
            everything = points(operation, members, recorded, self.options.seed)
            chosen = self._chosen(everything)
            cases = [case for case in everything if case in chosen and case not in self.kept.good]
            name = f"{operation} of {members}"
            self.kept.add((name, len(recorded)))
            self.kept.add((f"{name}: points", len(everything)))
            self.say(f"{name}: {len(recorded)} changing calls, {len(cases)} kill points to do")
            self._all(rigs, chains(cases), self._kill)
        finally:
            self._prepare(rigs, Rig.raze)

    def faults(self, members: int) -> None:
        """All faults at all steps, all labs side by side."""
        rigs = [self._rig(lab, members) for lab in self.labs]
        everything = self._chosen(under_cases(members, self.options.seed))
        cases = [case for case in everything if case not in self.kept.good]
        if not cases:
            return
        self.say(f"faults under way, {members} members: {len(cases)} cases to do")
        try:
            self._prepare(rigs, lambda rig: rig.create(OLD))
            self._all(rigs, cases, self._under)
        finally:
            self._prepare(rigs, Rig.raze)

    def _kill(self, rig: Rig, chain: Any, place: str) -> None:
        """A chain; what was not reached in it is tried once more alone."""
        for result in run_kills(rig, chain):
            if not result.died and not result.problem and len(chain) > 1:
                (result,) = run_kills(rig, [result.case])
            self.kept.add(result)
            died = result.died or "not killed: the call did not come about"
            self.say(f"{place} {result.case.title}: {died} -> {result.outcome}{_problem(result)}")

    def _under(self, rig: Rig, case: Any, place: str) -> None:
        result = run_under(rig, case)
        self.kept.add(result)
        self.say(f"{place} {case.title}: {result.outcome}{_problem(result)}")

    def _rig(self, lab: Lab, members: int) -> Rig:
        return Rig(lab, self.place / f"{lab.name}-{members}", f"faults{members}", members)

    def _chosen(self, cases: Sequence[Any]) -> list[Any]:
        """All cases in an order of the seed's, or so many of them as were asked for."""
        dice = random.Random(self.options.seed)
        mixed = dice.sample(cases, len(cases))
        return mixed[: self.options.sample] if self.options.sample else mixed

    def _prepare(self, rigs: list[Rig], function: Callable[[Rig], Any]) -> list[Any]:
        with ThreadPoolExecutor(len(rigs)) as threads:
            return list(threads.map(function, rigs))

    def _all(
        self, rigs: list[Rig], cases: Sequence[Any], run: Callable[[Rig, Any, str], None]
    ) -> None:
        """Hand the cases out to the labs; each takes the next when it is done."""
        left: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        for numbered in enumerate(cases, 1):
            left.put(numbered)

        def work(rig: Rig) -> None:
            while not left.empty():
                try:
                    number, case = left.get_nowait()
                except queue.Empty:
                    return
                try:
                    run(rig, case, f"{number}/{len(cases)}")
                except QuoracyError as error:
                    # The other labs go on; what has been found is still told in the end.
                    self.broken.append(f"{rig.lab.name} gave up at {case.title}: {error}")
                    self.say(self.broken[-1])
                    return

        self._prepare(rigs, work)


def main() -> None:
    """Run what was asked for and report."""
    # A terminated run, too, takes its hosts down.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    options = _options()
    print(
        f"seed {options.seed}; {options.labs} labs of {HOSTS} hosts; load of this machine at the start: "
        f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} processors",
        flush=True,
    )
    with _bench(options) as bench:
        if options.only in ("", "kills"):
            for members in options.members:
                bench.sweep("upgrade", members)
                bench.sweep("create", members)
        if options.only in ("", "faults"):
            for members in options.members:
                bench.faults(members)
    _report(bench)


def _report(bench: Bench) -> None:
    options = bench.options
    kept = bench.kept
    kept.add((time.monotonic() - bench.began) / 60)
    minutes, found = kept.minutes, figures(kept.kills, kept.under)
    if _is_whole(kept, options) and not bench.broken:
        calls = {name: count for name, count in kept.calls.items() if not name.endswith(": points")}
        write_page(PAGE, kept.kills, kept.under, calls, options.seed, minutes)
        print(f"written: {PAGE.relative_to(ROOT)}")
    for result in kept.results:
        if result.problem:
            print(f"NOT AS IT MUST BE: {result.case.title}: {result.problem}")
    print(
        f"{found['cases']} cases in {minutes:.0f} minutes, of them {len(kept.kills)} kill points: "
        f"{found['converged']} converged; acknowledged writes lost: {found['lost_writes']}; times below "
        f"quorum: {found['below_quorum']}; longest stall of a write: {found['longest_stall_s']} s"
    )
    print(json.dumps(found))
    sys.exit(0 if found["converged"] == found["cases"] and not bench.broken else 1)


def _is_whole(kept: Kept, options: argparse.Namespace) -> bool:
    """Whether everything has been run: all kill points and all faults, of three and five members."""
    done = Counter(f"{one.case.operation} of {one.case.members}" for one in kept.kills)
    killed = all(
        0 < kept.calls.get(f"{name} of {members}: points", 0) <= done[f"{name} of {members}"]
        for name in ("upgrade", "create")
        for members in (3, 5)
    )
    faults = {one.case for one in kept.under}
    wanted = {case for members in (3, 5) for case in under_cases(members, options.seed)}
    return not options.sample and killed and wanted <= faults


def _problem(result: KillResult | UnderResult) -> str:
    seen = result.seen
    told = ""
    if seen is not None and seen.writes:
        told = (
            f"; lost {seen.lost} of {seen.writes} writes, stall {seen.stall_s:.2f} s, "
            f"{seen.leader_changes} leader changes, below quorum {seen.below_quorum} times"
        )
    wrong = f"\n        NOT AS IT MUST BE: {result.problem}" if result.problem else ""
    return f"{told} ({result.seconds:.0f} s){wrong}"


@contextmanager
def _bench(options: argparse.Namespace) -> Iterator[Bench]:
    """Labs of the bench's own; nothing of them is left."""
    names = [options.lab + "bcdefgh"[:number][-1:] for number in range(options.labs)]
    with tempfile.TemporaryDirectory(prefix="quoracy-faults-") as directory:
        labs = []
        try:
            for name in names:
                labs.append(Lab.up(name, HOSTS))
            yield Bench(labs, Path(directory), options, Kept(options.keep))
        finally:
            for lab in labs:
                lab.down()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("kills", "faults"), default="")
    parser.add_argument("--seed", type=int, default=1, help="chooses commands, members and order")
    parser.add_argument("--members", type=int, nargs="+", default=[3, 5], choices=(3, 5))
    parser.add_argument("--sample", type=int, default=0, help="cases of each kind, instead of all")
    parser.add_argument("--keep", type=Path, help="file of results, to go on with another time")
    parser.add_argument("--labs", type=int, default=4, help="labs that work side by side")
    parser.add_argument(
        "--lab", default="faults", help="name of the first lab; others add a letter"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
