"""Stops between two members: by Ctrl-C, and by somebody who does not approve."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time

import pytest
from operate.made_up import Do, Fake, member, plan_of, run

from quoracy.db.session import Database
from quoracy.errors import (
    NotApproved,
    PlanChanged,
    RolledBack,
    Stopped,
)
from quoracy.operate.interrupt import ask_to_stop, stop_asked, stop_on_ctrl_c
from quoracy.plan.plan import Group, Step


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


def test_ctrl_c_twice_among_hosts_side_by_side_begins_nothing_more_before_it_puts_back(
    db: Database,
) -> None:
    """The threads of the other hosts must have ended: what they did later would never be put back."""
    names = ("one", "two", "three", "four")
    steps = tuple(Do(host, name, f"-{name}") for host in ("a", "b", "c") for name in names)
    work = Fake(plan_of(Group("all", "", steps, parallel=True), undoes="all"))
    applied, pressed = work.apply, threading.Event()
    said: queue.Queue[str] = queue.Queue()

    def apply(step: Step) -> str:
        told = applied(step)
        if step.name == "one" and not pressed.is_set():
            pressed.set()
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)
                said.get(timeout=30)  # the handler has run: two signals at once would be one
        elif not step.name.startswith("-"):
            time.sleep(0.05)
        return told

    work.apply = apply  # type: ignore[method-assign]
    with stop_on_ctrl_c(said.put), pytest.raises(RolledBack, match="interrupted by Keyboard"):
        run(db, work)
    undone = [act.partition(" ")[2].startswith("-") for act in work.acts[1:]]
    assert undone == sorted(undone)
    assert undone.count(True) == undone.count(False) < len(steps)
