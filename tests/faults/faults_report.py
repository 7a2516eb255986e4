"""docs/reliability.md: what the fault machine found, for somebody who does not believe it yet."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.faults_cases import UnderResult
from tests.faults.faults_kills import CHAIN, KillResult
from tests.faults.faults_makers import STEPS
from tests.faults.faults_rig import LIMITS, NEW, OLD, RATE, TIMING, Seen

_HEAD = """\
# What happens when things go wrong

This page is written by `make bench-faults`; no number on it is typed by hand. It was run on {when}, on
{machine}, with seed {seed}, in {minutes} minutes.

**{cases} cases, {converged} as they must be. Acknowledged writes lost: {lost_writes}. Times below quorum:
{below_quorum}. Longest wait of a write: {longest_stall_s} s.**

## What was tested

Practice hosts ([lab](lab.md)): containers with their own systemd, sshd, disk and network. Real etcd, TLS
everywhere, clusters of three and five members. The operation is `etcd-deploy`: a create of etcd {old}, or a
patch upgrade or downgrade between {old} and {new}, which stops and starts every member. Heartbeat
{heartbeat_interval_ms} ms, election timeout {election_timeout_ms} ms, `start_timeout_s` {start_timeout_s},
`stop_timeout_s` {stop_timeout_s}.

A case is as it must be when all of this holds:

- The next run of the same operation ends as `done` (or `nothing_to_do`, when the fault came after the last
  change), the run after that as `nothing_to_do`, and every member runs the wanted version.
- No acknowledged write is missing, no time was below quorum, and all members hold the same data (`hashkv`).
- What the interrupted run said is true: "done" only when all members run the new version, "rolled back" only
  when the member runs the old one again, "nothing was changed" only when nothing was; a run that stopped
  because of a host names that host; no traceback.

## Who judges

Nothing of the product judges. A **writer** in a process of its own writes {rate:g} unique keys a second through all
members and reads them all back in the end. A **watcher** in a process of its own polls every member every 100 ms
with a client certificate of its own. Both run from before the fault until the run that converged has ended;
in a create there is nobody to ask before it is done, so only the end is judged.

- **Lost write**: a key whose write was acknowledged, and that is not there in the end.
- **Stall**: the longest time from when a write was due until it was acknowledged, retries included. Elections
  show here.
- **Serving**: the member accepts a TLS connection and answers a serializable read and a status request, which it
  does alone. A poll fails when it is refused, breaks, or takes over 1 s.
- **Down**: from the last answer before a failed poll to the first answer after it.
- **Below quorum**: fewer voters than the quorum are not down at the same time. An election takes no member down:
  it is a stall. Members that the fault itself has taken down count as down.
- **Leader changes**: raft terms with a leader after the one at the start. An upgrade of all members changes it at
  least once.

"""
_KILLS = """\
## Killed by SIGKILL

A changing call is a script that takes the cluster's lock on a host: each step, the claim, the snapshot's scripts,
letting go. The operation is recorded once; then, for every changing call, the controller is killed right
before it, in the middle of its script, and right after it. In the middle means: the script has begun a command that the
seed has chosen, and has not ended when the signal is sent; what runs on the host then goes on, as in life. For each kind
of call there is one more case in which the host loses its power in the same moment. Up to {chain} kill points that lie one
after the other in the operation make a chain: the process that runs again is killed at the next one, and the last process
must converge. What writer and watcher saw is counted once for a chain.

| operation | changing calls | kill points | converged | killed in the middle | with a power cut | just missed | not reached | lost writes | below quorum | longest stall |
|---|---|---|---|---|---|---|---|---|---|---|
{rows}

Just missed: the script ended before the signal; the case counts as a kill after the call. Not reached: the call did not
come about, in the chain nor in a run of its own, so nothing was killed.

"""
_UNDER = """\
## Faults under way

An upgrade of all members; the fault hits the member that is being worked on, in the step, between the claim of the
host's lock and the first command of the script (`await-member` has no script: right before it). A host that dies is silent,
as by a power cut. With three members another member's loss at that moment is beyond any tool, so *another host* is hit
in clusters of five. Stopped: the run ended with an error, the member concerned may be down, all others serve.

| fault | step | members | outcome of the run | lost writes | longest stall | leader changes | below quorum |
|---|---|---|---|---|---|---|---|
{rows}

"""
_END = """\
## Run it yourself

```sh
make bench-faults                                          # everything; root, about an hour on two cores
.venv/bin/python -m tests.faults.faults --only kills --members 3 --sample 10 --seed 7
.venv/bin/python -m tests.faults.faults --only faults --members 3
.venv/bin/python -m tests.faults.faults --keep results            # again: goes on where it was cut off
```

The last line is JSON. CI runs a sample of the kill points and prints its seed (`tests/faults`).

## What it does not show

All hosts share one kernel and one clock. A power cut here kills processes and network, but loses nothing that the kernel
had taken: what a disk loses is not shown. Clusters are small (a few thousand keys), hosts a fraction of a millisecond
apart. The loss of the controller's machine together with its database is not among the faults. A controller that is
stopped in the middle of a write to its SQLite file holds the file's lock until it goes on or is killed: nobody else can
begin meanwhile (the cases stop it between two writes). One that is stopped in the middle of an upload holds the host's
lock: others are refused until the upload's time is over.
"""


def figures(kills: Sequence[KillResult], under: Sequence[UnderResult]) -> dict[str, float]:
    """The numbers of the last line."""
    results: list[KillResult | UnderResult] = [*kills, *under]
    seen = [one.seen for one in results if one.seen is not None]
    return {
        "cases": len(results),
        "converged": sum(not one.problem for one in results),
        "lost_writes": sum(one.lost for one in seen),
        "below_quorum": sum(one.below_quorum for one in seen),
        "longest_stall_s": round(max((one.stall_s for one in seen), default=0.0), 2),
    }


def write_page(
    page: Path,
    kills: Sequence[KillResult],
    under: Sequence[UnderResult],
    recorded: Mapping[str, int],
    seed: int,
    minutes: float,
) -> None:
    """Write the page from the results of a whole run."""
    head = _HEAD.format(
        when=f"{datetime.now(UTC):%d %B %Y}",
        machine=f"Linux {platform.release()} with {os.cpu_count()} processors",
        seed=seed,
        minutes=round(minutes),
        old=OLD,
        rate=RATE,
        new=NEW,
        **TIMING,
        **LIMITS,
        **figures(kills, under),
    )
    parts = [
        head,
        _wrong([*kills, *under]),
        _KILLS.format(
            chain=CHAIN, rows="\n".join(_kill_row(name, n, kills) for name, n in recorded.items())
        ),
        _UNDER.format(rows="\n".join(_under_row(one) for one in sorted(under, key=_place))),
        _END,
    ]
    page.write_text("".join(parts))


def _wrong(results: Iterable[KillResult | UnderResult]) -> str:
    """The cases that are not as they must be, with what is wrong; they are not hidden in a table."""
    wrong = [
        f"- {one.case.title}: {' '.join(one.problem.split())}\n" for one in results if one.problem
    ]
    return "## Not as it must be\n\n" + "".join(wrong) + "\n" if wrong else ""


def _kill_row(name: str, calls: int, kills: Sequence[KillResult]) -> str:
    own = [one for one in kills if f"{one.case.operation} of {one.case.members}" == name]
    died = Counter(one.died for one in own)
    seen = [one.seen for one in own]
    writes = any(one.writes for one in seen)
    cells = (
        name,
        calls,
        len(own),
        sum(not one.problem for one in own),
        died["middle"],
        sum(one.case.point.with_host for one in own),
        died["late"],
        died[""],
        sum(one.lost for one in seen) if writes else "–",  # noqa: RUF001  no writer there
        sum(one.below_quorum for one in seen) if writes else "–",  # noqa: RUF001
        f"{max(one.stall_s for one in seen):.2f} s" if writes else "–",  # noqa: RUF001
    )
    return "| " + " | ".join(map(str, cells)) + " |"


def _under_row(result: UnderResult) -> str:
    case, seen = result.case, result.seen or Seen()
    outcome = f"**not as it must be**: {result.outcome}" if result.problem else result.outcome
    cells = (
        case.label,
        case.step,
        case.members,
        outcome,
        seen.lost,
        f"{seen.stall_s:.2f} s",
        seen.leader_changes,
        seen.below_quorum,
    )
    return "| " + " | ".join(map(str, cells)) + " |"


def _place(result: UnderResult) -> tuple[int, str, int]:
    case = result.case
    return case.members, case.label, STEPS.index(case.step)
