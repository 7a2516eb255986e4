"""A verdict: pass, warn, fail or unknown, with a reason that a program and a person can read.

Unknown is never a pass (law 1).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from quoracy.errors import Refused
from quoracy.plain import plain


class Status(StrEnum):
    """Outcome of a check."""

    PASS = "pass"  # noqa: S105  not a password
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found.

    Attributes:
        status: WARN lets the operation go on; FAIL and UNKNOWN do not.
        reason: CamelCase word for programs, for example "QuorumWouldBeLost".
        message: One sentence with the evidence.
        where: Host or member; empty for the cluster.
        next_step: What the user does next.
    """

    status: Status
    reason: str
    message: str
    where: str = ""
    next_step: str = ""

    def __post_init__(self) -> None:
        # The evidence may be what a host has said.
        for name in ("message", "where", "next_step"):
            object.__setattr__(self, name, plain(getattr(self, name)))

    @property
    def stops(self) -> bool:
        """Whether nothing may be changed."""
        return self.status in (Status.FAIL, Status.UNKNOWN)


def passed(reason: str, message: str, *, where: str = "") -> Verdict:
    """The check is satisfied."""
    return Verdict(Status.PASS, reason, message, where)


def warned(reason: str, message: str, *, where: str = "", next_step: str = "") -> Verdict:
    """The user should know, and may go on."""
    return Verdict(Status.WARN, reason, message, where, next_step)


def failed(reason: str, message: str, *, where: str = "", next_step: str = "") -> Verdict:
    """The operation must not go on."""
    return Verdict(Status.FAIL, reason, message, where, next_step)


def unknown(reason: str, message: str, *, where: str = "", next_step: str = "") -> Verdict:
    """It could not be found out, so the operation must not go on."""
    return Verdict(Status.UNKNOWN, reason, message, where, next_step)


def require(verdicts: Iterable[Verdict]) -> None:
    """Raise when any verdict stops.

    Raises:
        Refused: With all reasons; nothing was changed since the last step.
    """
    stopping = [verdict for verdict in verdicts if verdict.stops]
    if not stopping:
        return
    lines = [f"{v.where + ': ' if v.where else ''}{v.message} [{v.reason}]" for v in stopping]
    advice = "; ".join(dict.fromkeys(v.next_step for v in stopping if v.next_step))
    what = lines[0] if len(lines) == 1 else "\n    ".join(["several checks say no:", *lines])
    raise Refused(what, next_step=advice)
