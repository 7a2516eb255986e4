"""Alarms that etcd has raised, as `endpoint status` tells them: asking for them otherwise would be a write.

Recorded of 3.4 to 3.7: "memberID:8630161756594109333 alarm:NOSPACE ", with two blanks between and none at
the end in 3.7, and without an ID where none is concerned. "etcdserver: no leader" is among the same errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

NOSPACE: Final = "NOSPACE"
CORRUPT: Final = "CORRUPT"
_ALARM = re.compile(r"(?:memberID:([0-9]{1,20})\s+)?alarm:([A-Z0-9_]{1,40})")


@dataclass(frozen=True, slots=True, order=True)
class Alarm:
    """One active alarm.

    Attributes:
        kind: "NOSPACE", "CORRUPT", or what a later etcd may call it.
        member_id: Hexadecimal; "0" when etcd names no member, as in CORRUPT since 3.5.7.
    """

    kind: str
    member_id: str


def parse_alarms(errors: Iterable[object]) -> tuple[Alarm, ...]:
    """The alarms among the errors of a status."""
    found = (_ALARM.search(error) for error in errors if isinstance(error, str))
    return tuple(sorted({Alarm(one[2], f"{int(one[1] or 0):x}") for one in found if one}))
