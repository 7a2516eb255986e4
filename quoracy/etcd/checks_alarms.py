"""What etcd's alarms allow: out of space, a member may be started and the quota raised; else nothing. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from quoracy.etcd.facts_alarms import CORRUPT, NOSPACE, Alarm
from quoracy.etcd.facts_cluster import EtcdFacts
from quoracy.operation.verdict import Verdict, failed, warned

FULL = "the database has reached its quota, and etcd refuses writes until the alarm is disarmed"
_DISARM = "`etcdctl alarm disarm`"
_BY_HAND = (
    "free space by hand (`etcdctl compact REVISION`, then `etcdctl defrag` on one member after the "
    f"other) and end with {_DISARM}; Quoracy's own commands for that are not built yet"
)
_CORRUPT = (
    "change nothing: find the member whose data differ (`etcdctl endpoint hashkv` on each, at one "
    "revision) and replace it, which Quoracy has no command for yet"
)


def check_corrupt(facts: EtcdFacts) -> list[Verdict]:
    """Every alarm but the one for space stands against whatever would act on the members."""
    return [
        failed("AlarmActive", said, next_step=_CORRUPT)
        for kind in sorted({alarm.kind for alarm in facts.alarms} - {NOSPACE})
        if (said := f"{_raised(facts, kind)}: {_meaning(kind)}")
    ]


def warn_full(facts: EtcdFacts, *, raising: bool = False) -> list[Verdict]:
    """That the cluster refuses writes, now and after what may be done in spite of it.

    Args:
        raising: Whether the plan raises the quota.
    """
    first = "" if raising else "raise `etcd.quota_backend_bytes` in the spec and deploy it, or "
    helps = f"when it is done, {_DISARM}, or: {_BY_HAND}" if raising else f"{first}{_BY_HAND}"
    return [warned("AlarmActive", said, next_step=helps) for said in _full(facts)]


def refuse_full(facts: EtcdFacts, hosts: Sequence[str]) -> list[Verdict]:
    """That these hosts would be changed in another way than by a larger quota."""
    others = f"; {', '.join(hosts)} would be changed without a larger quota"
    helps = f"raise `etcd.quota_backend_bytes` in the spec and deploy it, which is allowed, or {_BY_HAND}"
    return [failed("AlarmActive", said + others, next_step=helps) for said in _full(facts)]


def describe(facts: EtcdFacts) -> list[Verdict]:
    """All active alarms, each with what helps."""
    return [*check_corrupt(facts), *warn_full(facts)]


def alarm_host(facts: EtcdFacts, alarm: Alarm) -> str:
    """Host of the member that an alarm names; its ID when no host of it answered, "" when it names none."""
    if alarm.member_id == "0":
        return ""
    told = facts.statuses.items()
    return next((n for n, s in told if s.member_id == alarm.member_id), alarm.member_id)


def _full(facts: EtcdFacts) -> list[str]:
    full = any(alarm.kind == NOSPACE for alarm in facts.alarms)
    return [f"{_raised(facts, NOSPACE)}: {FULL}"] if full else []


def _raised(facts: EtcdFacts, kind: str) -> str:
    named = [alarm_host(facts, alarm) for alarm in facts.alarms if alarm.kind == kind]
    by = ", ".join(dict.fromkeys(name for name in named if name))
    return f"etcd has raised {kind}" + (f" for {by}" if by else "")


def _meaning(kind: str) -> str:
    if kind == CORRUPT:
        return "the members' data differ"
    return "this alarm is not known here"
