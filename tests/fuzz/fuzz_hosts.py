"""Hosts that lie, by the thousand: `make fuzz-hosts`.

QUORACY_FUZZ_ANSWERS says how many answers (20,000), QUORACY_FUZZ_SEED repeats a run: it is printed, and each
batch of 100 has the seed that follows, so that a batch that fails can be repeated alone. Each 2,000 have a process
of their own, as no operation gets more. Memory is the peak of each as the kernel counts it (ru_maxrss of
getrusage(2)), the interpreter and hypothesis included.
"""

from __future__ import annotations

import gc
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from tests.fuzz.etcd_looks import Etcd, log
from tests.fuzz.looks import Seen
from tests.fuzz.service_looks import Services

BATCH, IN_A_PROCESS = 100, 2000
MEMORY_MIB = 200


def fuzz(answers: int, seed: int, place: Path, seen: Seen, *, batch: int = BATCH) -> None:
    """Try so many answers; the first that breaks something is raised, made as small as possible."""
    etcd, services = Etcd(), Services(place)
    looks = (
        *(etcd.look,) * 4, etcd.poll, etcd.snapshot, log,
        *(services.look,) * 4, services.gate, services.release,
    )  # fmt: skip
    try:
        for number in range(0, answers, batch):

            @seeded(seed + number // batch)
            @settings(
                max_examples=min(batch, answers - number),
                database=None,
                deadline=None,
                phases=(Phase.generate, Phase.shrink),
                suppress_health_check=list(HealthCheck),
                print_blob=False,
            )
            @given(st.data())
            def lie(data: st.DataObject) -> None:
                data.draw(st.sampled_from(looks))(data.draw, seen)

            try:
                lie()
            except BaseException as error:
                error.add_note(f"QUORACY_FUZZ_SEED={seed + number // batch} repeats it")
                raise
            # What hypothesis remembers of a batch is in circles, and is none of the product's memory.
            gc.collect()
    finally:
        services.close()


def peak_mib() -> int:
    """Most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> int:
    """Fuzz, and say what became of the answers."""
    answers = int(os.environ.get("QUORACY_FUZZ_ANSWERS", "20000"))
    seed = int(os.environ.get("QUORACY_FUZZ_SEED", random.randrange(10**9)))
    say = sys.stdout.write
    say(f"{answers} answers, QUORACY_FUZZ_SEED={seed}\n")
    sys.stdout.flush()
    parts = [
        (seed + at // BATCH, min(IN_A_PROCESS, answers - at))
        for at in range(0, answers, IN_A_PROCESS)
    ]
    with ThreadPoolExecutor(os.cpu_count()) as processes:
        ended = list(processes.map(_process, parts))
    counts = sum((Counter(one["counts"]) for one in ended), Counter[str]())
    peak = max(one["peak"] for one in ended)
    told = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
    say(f"no traceback; {told}; at most {peak} MiB in a process (limit {MEMORY_MIB})\n")
    return 0 if peak < MEMORY_MIB else 1


def _process(part: tuple[int, int]) -> dict[str, Any]:
    """What a process tells of its part; one that breaks something ends this one, too, with its traceback."""
    command = (sys.executable, "-m", "tests.fuzz.fuzz_hosts", *map(str, part))
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def part(seed: int, answers: int) -> None:
    """One process's part; its last line of output says what became of the answers, as JSON."""
    # A known false alarm (pyproject.toml): it is told by the address of a state that may be used again.
    warnings.filterwarnings("ignore", "Do not use the `random` module inside strategies")
    seen = Seen()
    with tempfile.TemporaryDirectory() as place:
        fuzz(answers, seed, Path(place), seen)
    sys.stdout.write(f"{json.dumps({'counts': seen.counts, 'peak': peak_mib()})}\n")


if __name__ == "__main__":
    if sys.argv[1:]:
        part(*map(int, sys.argv[1:]))
    else:
        sys.exit(main())
