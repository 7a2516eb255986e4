"""The loop of all operations, with a made-up operation and a real journal in SQLite."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from quoracy.checks.verdict import failed
from quoracy.db.operations import NewOperation, end_operation, start_operation, steps_of
from quoracy.db.session import Database, open_database
from quoracy.errors import (
    LeaseHeld,
    NotApproved,
    PlanChanged,
    Refused,
    RollbackFailed,
    RolledBack,
    StepFailed,
    Stopped,
)
from quoracy.operate.interrupt import ask_to_stop, stop_asked, stop_on_ctrl_c
from quoracy.operate.journal import Journal
from quoracy.operate.loop import carry_out
from quoracy.plan.plan import Group, Plan, Step, Undoes

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Do:
    """A step; what puts it back is named by `back`."""

    host: str
    name: str
    back: str = ""

    @property
    def title(self) -> str:
        return f"do {self.name}"

    @property
    def undo(self) -> tuple[Step, ...]:
        return (Do(self.host, self.back),) if self.back else ()


def member(host: str, *, stops_voter: bool = True) -> Group:
    steps = (Do(host, "stop", "start"), Do(host, "switch", "switch-back"), Do(host, "wait"))
    return Group(host, host, steps, stops_voter=stops_voter)


def plan_of(*groups: Group, undoes: Undoes = "group", before: tuple[Step, ...] = ()) -> Plan:
    return Plan("test", "demo", "change", "try it", groups=groups, undoes=undoes, before=before)


@dataclass
class Fake:
    """Work that does what it is told: steps fail by (host, name), looks come from the plan."""

    plan: Plan
    failing: dict[tuple[str, str], Exception] = field(default_factory=dict)
    refuse: str = ""
    looks: list[Plan] = field(default_factory=list)
    acts: list[str] = field(default_factory=list)
    entered: list[str] = field(default_factory=list)
    barrier: threading.Barrier | None = None
    asks: bool = False
    declines: bool = False
    asked: list[tuple[str, list[str]]] = field(default_factory=list)

    def look(self) -> Plan:
        if self.looks:
            return self.looks.pop(0)
        left = tuple(g for g in self.plan.groups if g.title not in self.entered)
        before = () if self.entered else self.plan.before
        return replace(self.plan, before=before, groups=left)

    def gate(self, group: Group) -> None:
        self.acts.append(f"gate {group.title}")
        if group.title == self.refuse:
            raise Refused("no")

    def apply(self, step: Step) -> str:
        if self.barrier is not None:
            self.barrier.wait(timeout=60)
        self.acts.append(f"{step.host} {step.name}")
        error = self.failing.get((step.host, step.name))
        if error is not None:
            raise error
        return f"did {step.name}"

    def enter(self, group: Group, body: Callable[[], None]) -> None:
        self.entered.append(group.title)
        body()

    def approve(self, done: Group, left: tuple[Group, ...]) -> bool:
        if not self.asks:
            return False
        self.asked.append((done.title, [group.title for group in left]))
        if self.declines:
            raise NotApproved("not approved")
        return True


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path / 'journal.db'}")
    yield database
    database.close()


def begun(db: Database, plan: Plan) -> Journal:
    operation = NewOperation("demo", "test", plan.title, "me", "me", "terminal", "{}", "d", id="op")
    start_operation(db, operation, now=NOW)
    return Journal(db, "op")


def run(db: Database, work: Fake) -> None:
    carry_out(work.plan, work, begun(db, work.plan))


def rows(db: Database) -> list[tuple[str, str, str]]:
    return [(row.host, row.name, row.state) for row in steps_of(db, "op")]


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
    assert (first.seq, first.group, first.detail) == (1, "backup", "did backup")
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
    with pytest.raises(PlanChanged, match="gone: b stop do stop"):
        run(db, work)
    assert work.acts == []


def test_what_changed_between_members_stops_it_and_undoes_nothing(db: Database) -> None:
    whole = plan_of(member("a"), member("b"))
    work = Fake(whole, looks=[whole, plan_of(member("b"), member("c"))])
    with pytest.raises(PlanChanged, match="new: c stop do stop"):
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


def test_a_failed_putting_back_is_another_outcome(db: Database) -> None:
    work = Fake(plan_of(member("a")))
    work.failing = {("a", "wait"): StepFailed("x"), ("a", "switch-back"): StepFailed("y")}
    with pytest.raises(RollbackFailed, match="x; and putting back failed at a: do switch-back: y"):
        run(db, work)
    assert rows(db)[-1] == ("a", "switch-back", "undo_failed")


def test_a_create_undoes_all_hosts_newest_first(db: Database) -> None:
    prepare = Group("prepare", "", (Do("a", "p", "-p"), Do("b", "p", "-p")))
    form = Group("form", "", (Do("a", "f", "-f"), Do("b", "f", "-f")))
    work = Fake(plan_of(prepare, form, undoes="all"))
    work.failing[("b", "f")] = StepFailed("no")
    with pytest.raises(RolledBack):
        run(db, work)
    assert work.acts[-4:] == ["b -f", "a -f", "b -p", "a -p"]


def test_nothing_to_put_back_is_a_plain_failure(db: Database) -> None:
    work = Fake(plan_of(Group("stage", "", (Do("a", "stage"),))))
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
    both = Group("both", "", (Do("a", "x", "-x"), Do("b", "x", "-x")), parallel=True)
    work = Fake(plan_of(both, undoes=undoes))
    work.failing = {("a", "x"): StepFailed("no"), ("b", "x"): LeaseHeld("another one acts")}
    with pytest.raises(LeaseHeld):
        run(db, work)
    assert not any("-x" in act for act in work.acts)


def test_hosts_side_by_side_and_each_in_order(db: Database) -> None:
    """The barrier opens only when all three hosts act at the same time, at each of two steps."""
    hosts = ("a", "b", "c")
    steps = tuple(Do(host, name) for name in ("one", "two") for host in hosts)
    work = Fake(plan_of(Group("all", "", steps, parallel=True)), barrier=threading.Barrier(3))
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


def test_after_each_group_there_is_a_question_and_a_new_look(db: Database) -> None:
    whole = plan_of(member("a"), member("b"))
    changed = plan_of(member("b"), member("c"))
    work = Fake(whole, looks=[whole, plan_of(member("b")), changed], asks=True)
    with pytest.raises(PlanChanged, match="new: c stop"):
        run(db, work)
    assert work.asked == [("a", ["b"])]
    assert work.acts[-1] == "a wait"


def test_what_is_not_approved_is_left_as_it_was(db: Database) -> None:
    work = Fake(plan_of(member("a"), member("b")), asks=True, declines=True)
    with pytest.raises(NotApproved):
        run(db, work)
    assert work.acts == ["gate a", "a stop", "a switch", "a wait"]


def test_ctrl_c_once_finishes_the_member_and_stops(db: Database) -> None:
    said: list[str] = []
    work = Fake(plan_of(member("a"), member("b"), member("c")))
    interrupts(work, "stop", times=1)
    with stop_on_ctrl_c(said.append), pytest.raises(Stopped, match="left as they were: b, c"):
        run(db, work)
    assert work.acts == ["gate a", "a stop", "a switch", "a wait"]
    assert len(said) == 1
    assert not stop_asked()


def test_ctrl_c_twice_puts_the_member_back(db: Database) -> None:
    said: list[str] = []
    work = Fake(plan_of(member("a"), member("b")))
    interrupts(work, "switch", times=2)
    with stop_on_ctrl_c(said.append), pytest.raises(RolledBack, match="interrupted by Keyboard"):
        run(db, work)
    assert work.acts == ["gate a", "a stop", "a switch", "a switch-back", "a start"]
    assert len(said) == 2


def interrupts(work: Fake, name: str, *, times: int) -> None:
    """Press Ctrl-C while the step of that name is under way."""
    applied = work.apply

    def apply(step: Step) -> str:
        told = applied(step)
        if step.name == name:
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)
        return told

    work.apply = apply  # type: ignore[method-assign]


def test_a_stop_that_was_asked_for_before_changes_nothing(db: Database) -> None:
    work = Fake(plan_of(member("a"), before=(Do("a", "backup"),)))
    with stop_on_ctrl_c(lambda _: None):
        ask_to_stop()
        with pytest.raises(Stopped):
            run(db, work)
    assert work.acts == ["a backup"]


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
