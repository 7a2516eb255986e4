"""`make bench-redeploy`: Quoracy, rsync and Ansistrano bring the same changes, side by side, in one run.

The last line is JSON; everything before it says what was compared and on how many runs. A shorter run:
`python -m bench.redeploy --files 2000 --round-trips 0 --rounds 3`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from bench.ansible_side import install_ansible
from bench.poller_process import Settings
from bench.pollers import Polled
from bench.redeploy_downtime import Bring, watch
from bench.redeploy_hosts import prepare_hosts, reaches, write_unit
from bench.redeploy_ours import PORT, Quoracy
from bench.redeploy_race import Race
from bench.redeploy_sides import Ansistrano, Rsync
from bench.redeploy_times import ANSISTRANO, KEPT, OURS, TYPED, Place, Times
from bench.redeploy_trees import Case, Tree
from bench.relay import measured_round_trip_s
from bench.site import quoracy
from lab.lab import Lab
from quoracy.home import load_home

NAME = "benchre"
FILES = (200, 2_000, 20_000)
ROUND_TRIPS_MS = (0.0, 20.0)
ROUNDS = 3
#: The figures of the last line come of this place, so it is measured more often.
HEADLINE, HEADLINE_ROUNDS = Place(2_000, 0.0), 7
COMMANDS = 3
WATCHED = 5
PORTS = {"rsync": 8081, "rsync-kept": 8082, "ansistrano": 8083}
BUILD = "cat lib/*/*.js > bundle.js"


def main() -> None:
    """Measure and report."""
    wanted = _arguments()
    # A terminated run, too, takes its hosts and its server down.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    install_ansible()
    with _race() as race:
        _introduce(race, wanted.round_trips)
        for files in wanted.files:
            tree = Tree(race.directory / f"tree-{files}", files)
            tree.make()
            for milliseconds in wanted.round_trips:
                place = Place(files, milliseconds / 1000)
                _measure(race, tree, place, wanted.rounds)
        figures = {**_compared(race.times), **_commands(race, wanted.files)}
        figures |= _downtime(race)
    print(json.dumps(figures))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.redeploy", description=__doc__)
    parser.add_argument("--files", type=int, nargs="+", default=FILES)
    parser.add_argument(
        "--round-trips", type=float, nargs="+", default=ROUND_TRIPS_MS, help="milliseconds"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    return parser.parse_args()


def _introduce(race: Race, round_trips: list[float]) -> None:
    relayed = ", ".join(
        f"{wanted:g} ms is {measured_round_trip_s(wanted / 1000) * 1000:.1f} ms"
        for wanted in round_trips
        if wanted
    )
    print(
        f"Quoracy: the operation in this process, from reading config and code to its last line in the"
        f" journal, connections made anew each time; its gate, which nobody else has, stands apart.\n"
        f"{TYPED}: `rsync -a --delete && ssh systemctl restart` as typed, two connections made anew;"
        f" {KEPT}: the same over one that ControlMaster has kept.\n"
        f"{race.ansistrano.name}: ansible-core with pipelining, kept connections, no facts, no"
        f" statistics, {len(Case)} cases each.\n"
        f"Lock file: the others run `npm ci` here and ship node_modules with the code.\n"
        f"Round trips by a relay in user space, measured: {relayed or 'none'}; without it the hosts are"
        f" on a bridge of this machine.\n"
        f"Sides take turns within a round. Load of this machine at the start:"
        f" {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors.",
        flush=True,
    )


@contextmanager
def _race() -> Iterator[Race]:
    """Hosts and project of the benchmark's own; nothing of them is left."""
    with tempfile.TemporaryDirectory(prefix="quoracy-bench-") as name:
        directory = Path(name)
        os.environ["QUORACY_HOME"] = f"{directory}/home"
        # Another server or database that this shell may name is not to be measured.
        for variable in ("PREFECT_API_URL", "QUORACY_DATABASE_URL"):
            os.environ.pop(variable, None)
        lab = Lab.up(NAME, 3)
        try:
            prepare_hosts(lab, (1, 2))
            yield _sides(lab, directory)
        finally:
            lab.down()


@contextmanager
def _server() -> Iterator[None]:
    """Prefect's server and worker, where they are needed: they take a processor's time from the rest."""
    try:
        quoracy("up")
        yield
    finally:
        quoracy("down")


def _sides(lab: Lab, directory: Path) -> Race:
    for unit, port in PORTS.items():
        base = f"/opt/{unit}"
        at = f"{base}/current" if unit == "ansistrano" else base
        write_unit(lab, lab.hosts[2 if unit == "ansistrano" else 1].name, unit, at, port)
    return Race(
        lab=lab,
        directory=directory,
        ours=Quoracy(load_home(), directory / "project"),
        typed=Rsync("rsync", "/opt/rsync", None),
        kept=Rsync("rsync-kept", "/opt/rsync-kept", directory),
        ansistrano=Ansistrano("ansistrano", "/opt/ansistrano", directory),
    )


def _measure(race: Race, tree: Tree, place: Place, rounds: int) -> None:
    if place == HEADLINE:
        rounds = max(rounds, HEADLINE_ROUNDS)
    with reaches(race.lab, race.directory, place.round_trip_s) as found:
        race.prepare(tree, found)
        for number in range(rounds):
            for case in Case:
                race.round(tree, place, found, case, number)
        race.leave(found)
    table = race.times.table(place)
    print(f"\n{rounds} rounds; seconds: median (least to most)\n{table}", flush=True)


def _compared(times: Times) -> dict[str, float]:
    """The comparisons of the last line."""
    ours = times.median(HEADLINE, Case.ONE, OURS)
    return {
        "one_file_vs_rsync": round(times.ratio(HEADLINE, Case.ONE, TYPED), 3),
        "one_file_vs_rsync_kept": round(times.ratio(HEADLINE, Case.ONE, KEPT), 3),
        "one_file_vs_ansistrano": round(times.median(HEADLINE, Case.ONE, ANSISTRANO) / ours, 2),
        "one_file_s": round(ours, 3),
        "noop_s": round(times.median(HEADLINE, Case.NOTHING, OURS), 3),
    }


def _commands(race: Race, sizes: list[int]) -> dict[str, float]:
    """The whole command, with Python's and Prefect's own start, for one changed file."""
    tree = Tree(race.directory / "tree-commands", 2_000 if 2_000 in sizes else sizes[0])
    tree.make()
    with reaches(race.lab, race.directory, 0.0) as found, _server():
        race.ours.want(tree, found[:1])
        race.ours.command()
        operation, plain, through, nothing = [], [], [], []
        for _ in range(COMMANDS):
            tree.change(Case.ONE)
            operation.append(race.ours.operate().seconds)
            tree.change(Case.ONE)
            plain.append(race.ours.command("--without-prefect"))
            tree.change(Case.ONE)
            through.append(race.ours.command())
            nothing.append(race.ours.command("--without-prefect"))
        race.ours.redeploy["build"] = BUILD
        race.ours.want(tree, found[:1])
        built = race.ours.command()
        del race.ours.redeploy["build"]
    print(
        f"\nthe whole command, one file of {tree.files}, gate included, medians of {COMMANDS}:"
        f" the operation {median(operation):.2f} s, `--without-prefect` {median(plain):.2f} s (Python's"
        f" start {median(plain) - median(operation):.2f} s), through Prefect {median(through):.2f} s"
        f" (Prefect's start {median(through) - median(plain):.2f} s); nothing changed, `--without-prefect`"
        f" {median(nothing):.2f} s; with a build (`{BUILD}`), once: {built:.2f} s",
        flush=True,
    )
    return {
        "command_s": round(median(through), 3),
        "command_without_prefect_s": round(median(plain), 3),
        "command_with_build_s": round(built, 3),
    }


def _downtime(race: Race) -> dict[str, float]:
    """Under pollers: rsync, and Quoracy with either kind of activation."""
    tree = Tree(race.directory / "tree-downtime", 200)
    tree.make()
    with reaches(race.lab, race.directory, 0.0) as found:

        def typed(release: str) -> None:
            tree.release(release)
            race.typed.deliver(tree, Case.ONE, found[1])

        def ours(release: str) -> None:
            tree.release(release)
            race.ours.operate()

        def watched(how: str, bring: Bring, host: int, port: int) -> Polled:
            settings = Settings(race.lab.hosts[host].address, port)
            seen = watch(how, bring, settings, times=WATCHED)
            print(seen, flush=True)
            return seen.polled

        print("\nfour pollers, each with a connection of its own every 5 ms:")
        watched(TYPED, typed, 1, PORTS["rsync"])
        polled = {}
        for activation in ("restart", "socket"):
            race.ours.redeploy["activation"] = activation
            race.ours.want(tree, found[:1])
            polled[activation] = watched(f"{OURS}, activation {activation}", ours, 0, PORT)
    return {
        "failed_requests_activated": polled["socket"].failed,
        "refused_s": round(polled["restart"].longest_gap_s, 3),
        "mixed_answers": sum(len(each.mixed()) for each in polled.values()),
    }


if __name__ == "__main__":
    main()
