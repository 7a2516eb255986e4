"""`make bench-startup`: what a command costs before it does anything, side by side with Python's own start.

Seconds of processor time, so that a busy machine changes little. The last line is JSON.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from statistics import median

RUNS = 15
COMMANDS = {
    "python -c pass": (sys.executable, "-c", "pass"),
    "quoracy --help": (".venv/bin/quoracy", "--help"),
    "completion of a verb": (".venv/bin/quoracy",),
    "quoracy plan --help": (".venv/bin/quoracy", "plan", "etcd-deploy", "--help"),
}
COMPLETION = {"_QUORACY_COMPLETE": "complete_bash", "COMP_WORDS": "quoracy op", "COMP_CWORD": "1"}


def main() -> None:
    """Measure in turn, and report."""
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS):
        for name, command in COMMANDS.items():
            more = COMPLETION if name.startswith("completion") else {}
            taken[name].append(_processor_s(command, more))
    medians = {name: round(median(values), 3) for name, values in taken.items()}
    print(f"{RUNS} runs each, in turn; medians of processor time, user and system:")
    for name, seconds in medians.items():
        ratio = seconds / medians["python -c pass"]
        print(f"  {name:22} {seconds:6.3f} s  {ratio:5.1f} times `python -c pass`")
    print(json.dumps({name.replace(" ", "_"): value for name, value in medians.items()}))


def _processor_s(command: tuple[str, ...], more: dict[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env={**os.environ, **more}, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
