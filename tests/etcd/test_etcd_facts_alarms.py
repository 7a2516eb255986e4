"""Errors of `endpoint status` as real members gave them, 3.4.23 to 3.7.3; IDs are theirs."""

from __future__ import annotations

import pytest

from quoracy.etcd.facts_alarms import Alarm, parse_alarms

ID = 15717552183955640935
HEX = "da1ff66fa7575267"


@pytest.mark.parametrize(
    ("errors", "alarms"),
    [
        ([f"memberID:{ID} alarm:NOSPACE "], [Alarm("NOSPACE", HEX)]),  # 3.4 to 3.6
        ([f"memberID:{ID}  alarm:NOSPACE"], [Alarm("NOSPACE", HEX)]),  # 3.7
        (
            [f"memberID:{ID}  alarm:NOSPACE", f"memberID:{ID}  alarm:CORRUPT", "alarm:CORRUPT"],
            [Alarm("CORRUPT", "0"), Alarm("CORRUPT", HEX), Alarm("NOSPACE", HEX)],
        ),
        (["alarm:CORRUPT "], [Alarm("CORRUPT", "0")]),
        (["etcdserver: no leader"], []),
        ([], []),
        # However a later etcd puts it, an alarm is not overlooked.
        (["memberID:x alarm:NOSPACE", "alarm:", 7, None], [Alarm("NOSPACE", "0")]),
    ],
)
def test_alarms_of_a_status(errors: list[object], alarms: list[Alarm]) -> None:
    assert list(parse_alarms(errors)) == alarms
