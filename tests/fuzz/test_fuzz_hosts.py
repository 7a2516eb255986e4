"""A few hundred answers of hosts that lie; `make fuzz-hosts` tries twenty thousand, and watches the memory."""

from __future__ import annotations

import random
from pathlib import Path

from tests.fuzz.fuzz_hosts import fuzz
from tests.fuzz.looks import Seen


def test_nothing_that_a_host_says_breaks_anything(tmp_path: Path) -> None:
    seed, seen = random.randrange(10**9), Seen()
    print(f"QUORACY_FUZZ_SEED={seed}")
    fuzz(300, seed, tmp_path, seen)
    # One that only ever saw silence would prove nothing.
    for what in ("silent", "understood", "plans refused", "plans to change", "gates"):
        assert seen.counts[what] >= 5, (what, seed, seen.counts)
