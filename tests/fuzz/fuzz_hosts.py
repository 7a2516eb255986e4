"""Hosts that lie, by the thousand: `make fuzz-hosts`.

QUORACY_FUZZ_ANSWERS says how many answers (20,000), QUORACY_FUZZ_SEED repeats a run: it is printed, and each
batch of 100 has the seed that follows, so that a batch that fails can be repeated alone. Memory is the peak of
the whole process as the kernel counts it (ru_maxrss of getrusage(2)), the interpreter and hypothesis included.
"""

from __future__ import annotations

import gc
import os
import random
import resource
import sys
import tempfile
import warnings
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from tests.fuzz.etcd_looks import Etcd, log
from tests.fuzz.looks import Seen
from tests.fuzz.service_looks import Services

BATCH = 100
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
    seen = Seen()
    say = sys.stdout.write
    # A known false alarm (pyproject.toml): it is told by the address of a state that may be used again.
    warnings.filterwarnings("ignore", "Do not use the `random` module inside strategies")
    say(f"{answers} answers, QUORACY_FUZZ_SEED={seed}\n")
    sys.stdout.flush()
    with tempfile.TemporaryDirectory() as place:
        fuzz(answers, seed, Path(place), seen)
    peak = peak_mib()
    told = ", ".join(f"{count} {what}" for what, count in sorted(seen.counts.items()))
    say(f"no traceback; {told}; at most {peak} MiB (limit {MEMORY_MIB})\n")
    return 0 if peak < MEMORY_MIB else 1


if __name__ == "__main__":
    sys.exit(main())
