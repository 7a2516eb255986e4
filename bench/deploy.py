"""`make bench-deploy`: Quoracy and Ansible on the same hosts, side by side, in one run.

The last line is JSON; everything before it says what was compared and on how many runs.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench.ansible_side import Ansible, install_ansible, install_python
from bench.measures import TIMING, VERSION, Bench, Roll
from bench.site import quoracy
from lab.lab import Lab
from quoracy.home import load_home

NAME = "bench"
ROUNDS = 3
NOOPS = 3


@dataclass(slots=True)
class Measured:
    """What was measured, one number per run; times in seconds."""

    plan: list[float] = field(default_factory=list)
    noop_flow: list[float] = field(default_factory=list)
    ansible_noop: list[float] = field(default_factory=list)
    floor: list[float] = field(default_factory=list)
    ansible_roll: list[float] = field(default_factory=list)
    rolls: list[Roll] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        """Medians of times; of what must never happen, the worst run."""
        return {
            "plan_s": _median(self.plan),
            "noop_flow_s": _median(self.noop_flow),
            "ansible_noop_s": _median(self.ansible_noop),
            "roll_s": _median([roll.seconds for roll in self.rolls]),
            "roll_floor_s": _median(self.floor),
            "backup_s": _median([roll.backup_s for roll in self.rolls]),
            "ansible_roll_s": _median(self.ansible_roll),
            "lost_writes": sum(roll.lost_writes for roll in self.rolls),
            "longest_stall_s": round(max(roll.longest_stall_s for roll in self.rolls), 3),
            "leader_changes": max(roll.leader_changes for roll in self.rolls),
        }


def main() -> None:
    """Measure and report."""
    # A terminated run, too, takes its hosts and its server down.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    print(
        f"Quoracy and ansible-core on three practice hosts, one TLS cluster of etcd {VERSION}.\n"
        f"Ansible: pipelining, forks, kept connections, no fact gathering (bench/ansible).\n"
        f"Both watch each member for two election timeouts, here of {TIMING['election_timeout_ms']} ms.\n"
        f"{ROUNDS} rounds in turn, {NOOPS} no-ops of each tool in every round; load of this machine"
        f" at the start: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors."
    )
    install_ansible()
    measured = Measured()
    with _bench() as bench:
        for number in range(1, ROUNDS + 1):
            _round(bench, measured)
            so_far = json.dumps(measured.figures())
            print(f"round {number} of {ROUNDS}, so far: {so_far}", flush=True)
    _report(measured)


def _round(bench: Bench, measured: Measured) -> None:
    """One of each roll, all under the writer, then the no-ops in turn."""
    cluster = bench.change_setting()
    measured.rolls.append(bench.roll(cluster))
    measured.floor.append(bench.roll_floor_s(cluster))
    for _ in range(NOOPS):
        measured.plan.append(bench.plan_s())
        measured.noop_flow.append(bench.noop_flow_s())
        measured.ansible_noop.append(bench.ansible_noop_s())
    # Last, as Quoracy would call what Ansible leaves a change.
    measured.ansible_roll.append(bench.ansible_roll_s(bench.change_setting()))


@contextmanager
def _bench() -> Iterator[Bench]:
    """Hosts, server and cluster of the benchmark's own; nothing of them is left."""
    with tempfile.TemporaryDirectory(prefix="quoracy-bench-") as directory:
        os.environ["QUORACY_HOME"] = f"{directory}/home"
        # Another server or database that this shell may name is not to be measured.
        for name in ("PREFECT_API_URL", "QUORACY_DATABASE_URL"):
            os.environ.pop(name, None)
        lab = Lab.up(NAME, 3)
        ansible = Ansible(lab, Path(directory))
        try:
            install_python(lab)
            bench = Bench(lab, load_home(), Path(directory), ansible)
            bench.change_setting()
            quoracy("up")
            quoracy("etcd-deploy", NAME)
            yield bench
        finally:
            ansible.close()
            quoracy("down")
            lab.down()


def _report(measured: Measured) -> None:
    figures = measured.figures()
    rolls, members = measured.rolls, 3
    over = (figures["roll_s"] - figures["roll_floor_s"]) / members
    command = _median([roll.command_s for roll in rolls])
    print(
        f"no-op, {len(measured.plan)} runs each, medians: `quoracy plan` {figures['plan_s']} s"
        f" ({_spread(measured.plan)}), Ansible {figures['ansible_noop_s']} s"
        f" ({_spread(measured.ansible_noop)}): {figures['plan_s'] / figures['ansible_noop_s']:.2f} of it;"
        f" the flow inside Prefect {figures['noop_flow_s']} s ({_spread(measured.noop_flow)})\n"
        f"roll of three under 100 writes a second, {len(rolls)} runs each, medians:"
        f" Quoracy {figures['roll_s']} s and {figures['backup_s']} s of backup (the whole command,"
        f" imports and backup included: {command} s), Ansible {figures['ansible_roll_s']} s:"
        f" {figures['roll_s'] / figures['ansible_roll_s']:.2f} of it;"
        f" the members' own restarts {figures['roll_floor_s']} s, so {over:.2f} s more per member\n"
        f"worst of Quoracy's rolls: {figures['lost_writes']} acknowledged writes lost,"
        f" {max(roll.failed_writes for roll in rolls)} writes given up,"
        f" longest stall {figures['longest_stall_s']} s, {figures['leader_changes']} leader changes,"
        f" {sum(roll.overlaps for roll in rolls)} overlaps of members being down,"
        f" hashkv {'equal' if all(roll.hashes_equal for roll in rolls) else 'NOT equal'}"
    )
    print(json.dumps(figures))


def _median(values: list[float]) -> float:
    return round(median(values), 3)


def _spread(values: list[float]) -> str:
    return f"{min(values):.2f}–{max(values):.2f}"  # noqa: RUF001  a range


if __name__ == "__main__":
    main()
