"""A sample of cases whose full number takes too long for every run of the tests.

The seed is new in each run and printed; QUORACY_FAULT_SEED repeats one, QUORACY_EVERY_CASE=1 runs them all.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

EVERY_CASE = bool(os.environ.get("QUORACY_EVERY_CASE"))
SEED = int(os.environ.get("QUORACY_FAULT_SEED") or random.SystemRandom().randrange(10**6))


def sample(cases: Sequence[T], count: int) -> list[T]:
    """So many of the cases, in their order."""
    if EVERY_CASE:
        return list(cases)
    chosen = set(random.Random(SEED).sample(range(len(cases)), count))
    return [case for number, case in enumerate(cases) if number in chosen]
