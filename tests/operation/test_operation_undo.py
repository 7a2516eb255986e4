"""What fails is put back: by the loop, newest step first, also without a journal."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from sqlalchemy import text

from quoracy.db.operations import steps_of
from quoracy.db.session import Database
from quoracy.errors import (
    LeaseHeld,
    Refused,
    RollbackFailed,
    RolledBack,
    StepFailed,
)
from quoracy.operation.loop import carry_out
from quoracy.operation.plan import Group, Undoes
from quoracy.operation.step import Step
from tests.operation.made_up import Do, Fake, begun, member, plan_of, rows, run


def test_a_failing_member_is_put_back_alone_newest_first(db: Database) -> None:
    work = Fake(plan_of(member("a"), member("b"), member("c")))
    work.failing[("b", "wait")] = StepFailed("does not come up", where="b")
    with pytest.raises(RolledBack, match="does not come up; what had been changed was put back"):
        run(db, work)
    assert work.acts[-6:] == ["gate b", "b stop", "b switch", "b wait", "b switch-back", "b start"]
    assert rows(db)[-2:] == [("b", "switch-back", "undone"), ("b", "start", "undone")]
    assert ("b", "wait", "failed") in rows(db)
    assert ("c", "stop", "planned") in rows(db)


def test_the_step_that_failed_is_put_back_too(db: Database) -> None:
    work = Fake(plan_of(member("a")))
    work.failing[("a", "stop")] = StepFailed("half stopped")
    with pytest.raises(RolledBack):
        run(db, work)
    assert work.acts == ["gate a", "a stop", "a start"]


def test_a_step_that_was_refused_did_nothing_so_it_is_not_put_back(db: Database) -> None:
    work = Fake(plan_of(member("a")))
    work.failing[("a", "stop")] = Refused("not what was planned", where="a")
    with pytest.raises(Refused, match="not what was planned"):
        run(db, work)
    assert work.acts == ["gate a", "a stop"]
    assert rows(db)[0] == ("a", "stop", "failed")


def test_what_was_done_before_a_refused_step_is_put_back(db: Database) -> None:
    work = Fake(plan_of(member("a")))
    work.failing[("a", "switch")] = Refused("not what was planned", where="a")
    with pytest.raises(RolledBack, match="not what was planned"):
        run(db, work)
    assert work.acts == ["gate a", "a stop", "a switch", "a start"]


def test_a_failed_putting_back_is_another_outcome(db: Database) -> None:
    work = Fake(plan_of(member("a")))
    work.failing = {("a", "wait"): StepFailed("x"), ("a", "switch-back"): StepFailed("y")}
    with pytest.raises(RollbackFailed, match="x; and putting back failed at a: do switch-back: y"):
        run(db, work)
    assert rows(db)[-1] == ("a", "switch-back", "undo_failed")


def test_what_was_said_below_the_first_line_stays_below_it(db: Database) -> None:
    work = Fake(plan_of(member("a")))
    work.failing = {
        ("a", "wait"): StepFailed("x.\n    last words"),
        ("a", "switch-back"): StepFailed("y.\n    of the old one"),
    }
    with pytest.raises(RollbackFailed) as raised:
        run(db, work)
    first, *below = raised.value.what.splitlines()
    assert first == "x; and putting back failed at a: do switch-back: y"
    assert below == ["    last words", "    of the old one"]


def test_a_create_undoes_all_hosts_newest_first(db: Database) -> None:
    prepare = Group("prepare", (), (Do("a", "p", "-p"), Do("b", "p", "-p")))
    form = Group("form", (), (Do("a", "f", "-f"), Do("b", "f", "-f")))
    work = Fake(plan_of(prepare, form, undoes="all"))
    work.failing[("b", "f")] = StepFailed("no")
    with pytest.raises(RolledBack):
        run(db, work)
    assert work.acts[-4:] == ["b -f", "a -f", "b -p", "a -p"]


def test_nothing_to_put_back_is_a_plain_failure(db: Database) -> None:
    work = Fake(plan_of(Group("stage", (), (Do("a", "stage"),))))
    work.failing[("a", "stage")] = StepFailed("no")
    with pytest.raises(StepFailed) as raised:
        run(db, work)
    assert not isinstance(raised.value, RolledBack | RollbackFailed)


@pytest.mark.parametrize("undoes", ["group", "all", "nothing"])
def test_who_lost_the_lease_puts_nothing_back(db: Database, undoes: Undoes) -> None:
    work = Fake(plan_of(member("a"), undoes=undoes))
    work.failing[("a", "switch")] = LeaseHeld("another one acts")
    with pytest.raises(LeaseHeld):
        run(db, work)
    assert work.acts[-1] == "a switch"


@pytest.mark.parametrize("undoes", ["group", "all", "nothing"])
def test_a_lost_lease_beside_another_failure_puts_nothing_back(
    db: Database, undoes: Undoes
) -> None:
    both = Group("both", (), (Do("a", "x", "-x"), Do("b", "x", "-x")), parallel=True)
    work = Fake(plan_of(both, undoes=undoes))
    work.failing = {("a", "x"): StepFailed("no"), ("b", "x"): LeaseHeld("another one acts")}
    with pytest.raises(LeaseHeld):
        run(db, work)
    assert not any("-x" in act for act in work.acts)


def test_putting_back_goes_on_without_a_journal(db: Database) -> None:
    """Law 4: no new step starts, but an undo goes on."""
    work = Fake(plan_of(member("a")))
    journal = begun(db, work.plan)
    applied = work.apply

    def breaks_the_journal(step: Step) -> str:
        if step.name == "wait":
            with db.session() as session:
                session.connection().execute(text("ALTER TABLE steps RENAME TO gone"))
            raise StepFailed("does not come up")
        return applied(step)

    work.apply = breaks_the_journal  # type: ignore[method-assign]
    with pytest.raises(RolledBack):
        carry_out(work.plan, work, journal)
    assert work.acts[-2:] == ["a switch-back", "a start"]
    assert journal.unwritten


def test_what_puts_back_is_not_itself_put_back(db: Database) -> None:
    work = Fake(plan_of(member("a"), undoes="nothing"))
    work.failing[("a", "switch")] = StepFailed("no", where="a")
    with pytest.raises(RollbackFailed, match="putting back failed: no"):
        run(db, work)
    assert work.acts == ["gate a", "a stop", "a switch"]


def test_the_journal_keeps_how_each_step_is_put_back(db: Database) -> None:
    last = replace(member("b"), kept_after="switch")
    run(db, Fake(plan_of(member("a"), last)))
    undo = {(row.host, row.name): json.loads(row.undo) for row in steps_of(db, "op")}
    assert undo["a", "stop"] == [{"name": "start", "host": "a", "back": ""}]
    assert undo["a", "wait"] == []
    # After its last step that could be put back there is no way back, for a later process either.
    assert undo["b", "stop"] == []


def test_who_is_fenced_off_while_putting_back_leaves_the_rest_to_the_other(db: Database) -> None:
    """It is no failed rollback: the other operation goes on from what lies there."""
    work = Fake(plan_of(member("a")))
    work.failing = {("a", "wait"): StepFailed("x"), ("a", "switch-back"): LeaseHeld("fenced")}
    with pytest.raises(LeaseHeld, match="fenced; nothing is put back by this one") as raised:
        run(db, work)
    assert not isinstance(raised.value, RollbackFailed)
    assert work.acts[-1] == "a switch-back"


def test_what_was_put_back_without_a_journal_is_written_down_once_it_is_there_again(
    db: Database,
) -> None:
    work = Fake(plan_of(member("a")))
    journal = begun(db, work.plan)
    applied = work.apply

    def loses_and_regains_the_journal(step: Step) -> str:
        names = {"wait": ("steps", "gone"), "start": ("gone", "steps")}.get(step.name)
        if names:
            with db.session() as session:
                session.connection().execute(text("ALTER TABLE {} RENAME TO {}".format(*names)))
        if step.name == "wait":
            raise StepFailed("does not come up")
        return applied(step)

    work.apply = loses_and_regains_the_journal  # type: ignore[method-assign]
    with pytest.raises(RolledBack):
        carry_out(work.plan, work, journal)
    assert rows(db)[-2:] == [("a", "switch-back", "undone"), ("a", "start", "undone")]
    assert not any("is not in the journal" in said for said in journal.unwritten)


def test_of_hosts_side_by_side_only_those_that_have_not_proved_themselves_are_put_back(
    db: Database,
) -> None:
    hosts = ("a", "b", "c")
    steps = tuple(
        step for host in hosts for step in (Do(host, "switch", "back"), Do(host, "prove"))
    )
    batch = Group("a, b, c", (), steps, parallel=True, kept_after="prove")
    work = Fake(plan_of(batch))
    work.plan = replace(work.plan, way_back="`go back` takes them back")
    work.failing["c", "prove"] = StepFailed("not healthy", where="c")
    with pytest.raises(RolledBack) as raised:
        run(db, work)
    (note,) = raised.value.__notes__
    assert sorted(note.partition(" keep ")[0].split(", ")) == ["a", "b"]
    assert note.endswith(" keep what was changed there; `go back` takes them back")
    assert work.acts[-1] == "c back"
    assert not {"a back", "b back"} & set(work.acts)


def test_who_keeps_the_change_and_who_was_put_back_is_said_by_name(db: Database) -> None:
    first = replace(member("a"), kept_after="wait")
    steps = tuple(step for host in "bc" for step in member(host).steps)
    work = Fake(plan_of(first, Group("b, c", (), steps, kept_after="prove")))
    work.failing["c", "wait"] = StepFailed("does not come up\n    it said so", where="c")
    with pytest.raises(RolledBack) as raised:
        run(db, work)
    said = "does not come up; what had been changed was put back on c, b\n    it said so"
    assert raised.value.what == said
    assert "Also: a keeps what was changed there\n" in str(raised.value)


def test_where_nothing_is_kept_nothing_is_said_of_it(db: Database) -> None:
    work = Fake(plan_of(replace(member("a"), kept_after="wait")))
    work.failing["a", "wait"] = StepFailed("does not come up", where="a")
    with pytest.raises(RolledBack) as raised:
        run(db, work)
    assert raised.value.what == "does not come up; what had been changed was put back"
    assert "Also" not in str(raised.value)


def test_a_plain_failure_says_who_keeps_the_change(db: Database) -> None:
    work = Fake(plan_of(replace(member("a"), kept_after="wait"), member("b")))
    work.refuse = "b"
    with pytest.raises(Refused, match="no") as raised:
        run(db, work)
    assert raised.value.__notes__ == ["a keeps what was changed there"]


def test_what_did_not_serve_before_is_put_back_and_not_called_rolled_back(db: Database) -> None:
    work = Fake(plan_of(replace(member("a"), served=False)))
    work.failing["a", "wait"] = StepFailed("does not come up", where="a")
    with pytest.raises(StepFailed) as raised:
        run(db, work)
    assert type(raised.value) is StepFailed
    assert raised.value.what == (
        "does not come up; what had been changed was put back; it did not serve before, and was not waited for"
    )
    assert work.acts[-2:] == ["a switch-back", "a start"]


def test_what_fails_for_the_same_reason_when_it_is_put_back_says_so_once(db: Database) -> None:
    work = Fake(plan_of(member("a")))
    for step in ("wait", "start"):
        work.failing["a", step] = StepFailed("panic: no database", where="a")
    with pytest.raises(RollbackFailed) as raised:
        run(db, work)
    assert raised.value.what == (
        "panic: no database; and putting back failed at a: do start: for the same reason"
    )


@pytest.mark.parametrize("failing", [False, True])
def test_a_later_process_finds_nothing_to_put_back_unless_it_failed(
    db: Database, *, failing: bool
) -> None:
    work = Fake(plan_of(member("a"), member("b")))
    work.failing["b", "wait"] = StepFailed("does not come up", where="b")
    if failing:
        work.failing["b", "start"] = StepFailed("nor does the old one", where="b")
    with pytest.raises(RollbackFailed if failing else RolledBack):
        run(db, work)
    left = {row.group for row in steps_of(db, "op") if json.loads(row.undo)}
    assert ("b" in left) == failing
    assert "a" in left  # its group has come to its end
