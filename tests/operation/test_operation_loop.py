"""The loop of all operations, with a made-up operation and a real journal in SQLite."""

from __future__ import annotations

import threading

import pytest

from quoracy.db.operations import end_operation, steps_of
from quoracy.db.session import Database
from quoracy.errors import (
    PlanChanged,
    Refused,
    RolledBack,
    StepFailed,
)
from quoracy.operation.loop import carry_out
from quoracy.operation.plan import Group, Plan
from quoracy.operation.verdict import failed
from tests.operation.made_up import NOW, Do, Fake, begun, member, plan_of, rows, run


def test_order_backup_first_and_a_gate_before_each_group(db: Database) -> None:
    work = Fake(plan_of(member("a"), member("b"), before=(Do("b", "backup"),)))
    run(db, work)
    assert work.acts == [
        "b backup",
        "gate a",
        "a stop",
        "a switch",
        "a wait",
        "gate b",
        "b stop",
        "b switch",
        "b wait",
    ]
    assert {state for _, _, state in rows(db)} == {"done"}
    first = steps_of(db, "op")[0]
    assert (first.seq, first.group, first.detail) == (1, "before", "did backup")
    assert first.started_at is not None
    assert first.ended_at is not None


def test_a_failed_backup_leaves_everything_untouched(db: Database) -> None:
    work = Fake(plan_of(member("a"), before=(Do("a", "backup"),)))
    work.failing[("a", "backup")] = StepFailed("no space")
    with pytest.raises(StepFailed, match="no space"):
        run(db, work)
    assert work.acts == ["a backup"]
    assert rows(db) == [
        ("a", "backup", "failed"),
        ("a", "stop", "planned"),
        ("a", "switch", "planned"),
        ("a", "wait", "planned"),
    ]


def test_what_changed_before_the_first_step_stops_it(db: Database) -> None:
    work = Fake(plan_of(member("a"), member("b")))
    work.looks = [plan_of(member("a"))]
    with pytest.raises(PlanChanged, match="gone: b do stop"):
        run(db, work)
    assert work.acts == []


def test_what_changed_between_members_stops_it_and_undoes_nothing(db: Database) -> None:
    whole = plan_of(member("a"), member("b"))
    work = Fake(whole, looks=[whole, plan_of(member("b"), member("c"))])
    with pytest.raises(PlanChanged, match="new: c do stop"):
        run(db, work)
    assert work.acts == ["gate a", "a stop", "a switch", "a wait"]


def test_a_check_that_stops_later_stops_it(db: Database) -> None:
    whole = plan_of(member("a"), member("b"))
    verdict = failed("AlarmActive", "NOSPACE", where="b", next_step="free space")
    later = Plan("test", "demo", "change", "x", verdicts=(verdict,), groups=whole.groups[1:])
    with pytest.raises(PlanChanged, match="b: NOSPACE") as raised:
        run(db, Fake(whole, looks=[whole, later]))
    assert raised.value.next_step == "free space"


def test_the_order_of_what_is_left_may_change(db: Database) -> None:
    whole = plan_of(member("a"), member("b"), member("c"))
    moved = plan_of(member("c"), member("b"))
    work = Fake(whole, looks=[whole, moved, plan_of(member("b"))])
    run(db, work)
    assert work.entered == ["a", "c", "b"]


def test_a_gate_that_refuses_leaves_the_member_alone(db: Database) -> None:
    work = Fake(plan_of(member("a"), member("b")), refuse="b")
    with pytest.raises(Refused):
        run(db, work)
    assert work.acts[-1] == "gate b"
    assert ("b", "stop", "planned") in rows(db)


def test_hosts_side_by_side_and_each_in_order(db: Database) -> None:
    """The barrier opens only when all three hosts act at the same time, at each of two steps."""
    hosts = ("a", "b", "c")
    steps = tuple(Do(host, name) for name in ("one", "two") for host in hosts)
    work = Fake(plan_of(Group("all", (), steps, parallel=True)), barrier=threading.Barrier(3))
    run(db, work)
    for host in hosts:
        assert [a for a in work.acts if a.startswith(host)] == [f"{host} one", f"{host} two"]


def test_a_journal_that_cannot_be_written_starts_no_step(db: Database) -> None:
    work = Fake(plan_of(member("a")))
    journal = begun(db, work.plan)
    end_operation(db, "op", "failed", now=NOW)
    with pytest.raises((Refused, RolledBack), match="the operation has ended"):
        carry_out(work.plan, work, journal)
    assert not {"a stop", "a switch", "a wait"} & set(work.acts)
