"""The hosts' side of the guard, as the design's law 6 tells it: who may act, and who must not any more."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from quoracy.hosts.machine import GuardFacts

FENCED, HELD = 76, 77
HOLD_SECONDS = 60

_CLAIM = re.compile(r"printf '%s %s %s\\n' (\S+) (\d+) ")
_LET_GO = re.compile(r'\[ "\$seen_holder" = (\S+) \] \|\| exit 0')
_SUCCESSOR = re.compile(r"^case '(.*)' in$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Presented:
    """What a changing script says of who sends it."""

    holder: str
    fence: int
    successor_of: tuple[str, ...]
    lets_go: bool


def presented(script: str) -> Presented | None:
    """Who sends the script; None of one that changes nothing."""
    claim, leaving = _CLAIM.search(script), _LET_GO.search(script)
    dead = _SUCCESSOR.search(script)
    if claim is None or dead is None:
        return None
    holder = leaving[1] if leaving else claim[1]
    return Presented(holder, int(claim[2]), tuple(dead[1].split()), leaving is not None)


def enter(seen: GuardFacts | None, who: Presented) -> tuple[int, GuardFacts | None]:
    """The exit code that the host gives, and whom it remembers from now on."""
    now = int(time.time())
    if seen is not None and (
        seen.fence > who.fence or (seen.fence == who.fence and seen.holder != who.holder)
    ):
        return FENCED, seen
    strange = seen is not None and seen.holder not in (
        f"-{seen.name}",
        who.holder,
        *who.successor_of,
    )
    if seen is not None and strange and now - seen.time_s < HOLD_SECONDS:
        return HELD, seen
    if who.lets_go:
        ours = seen is not None and seen.holder == who.holder
        return 0, GuardFacts(f"-{who.holder}", who.fence, 0) if ours else seen
    return 0, GuardFacts(who.holder, who.fence, now)
