"""Stops between two members: by Ctrl-C, and by somebody who does not approve."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from quoracy.aside import Abandoned, pause
from quoracy.db.session import Database
from quoracy.errors import (
    NotApproved,
    PlanChanged,
    RolledBack,
    StepFailed,
    Stopped,
)
from quoracy.operation.interrupt import (
    Terminated,
    ask_to_stop,
    ended_once,
    stop_asked,
    stop_on_signals,
)
from quoracy.operation.plan import Group
from quoracy.operation.step import Step
from tests.operation.made_up import Do, Fake, member, plan_of, run


def test_after_each_group_there_is_a_question_and_a_new_look(db: Database) -> None:
    whole = plan_of(member("a"), member("b"))
    changed = plan_of(member("b"), member("c"))
    work = Fake(whole, looks=[whole, plan_of(member("b")), changed], asks=True)
    with pytest.raises(PlanChanged, match="new: c do stop"):
        run(db, work)
    assert work.asked == [("a", ["b"])]
    assert work.acts[-1] == "a wait"


def test_what_is_not_approved_is_left_as_it_was(db: Database) -> None:
    work = Fake(plan_of(member("a"), member("b")), asks=True, declines=True)
    with pytest.raises(NotApproved):
        run(db, work)
    assert work.acts == ["gate a", "a stop", "a switch", "a wait"]


class Keyboard:
    """Presses Ctrl-C while steps are under way; each is answered before the next: two at once would be one."""

    def __init__(self, work: Fake) -> None:
        self.answers: list[str] = []
        self._said: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._work, self._applied = work, work.apply
        self._at: dict[str, tuple[tuple[int, ...], Callable[[], object]]] = {}
        work.apply = self._apply  # type: ignore[method-assign]

    def press(self, name: str, *, times: int, then: Callable[[], object] = lambda: None) -> None:
        """At the step of that name, which goes on with `then`."""
        self.send(name, *[signal.SIGINT] * times, then=then)

    def send(self, name: str, *signals: int, then: Callable[[], object] = lambda: None) -> None:
        """The same with signals of any kind, each of which is answered."""
        self._at[name] = (signals, then)

    def _apply(self, step: Step) -> str:
        told = self._applied(step)
        signals, then = self._at.pop(step.name, ((), lambda: None))
        for each in signals:
            os.kill(os.getpid(), each)
            self.answers.append(self._said.get(timeout=30))
        then()
        return told

    def deploy(self, db: Database) -> None:
        with stop_on_signals(self._said.put):
            run(db, self._work)


def wait_for_an_answer() -> None:
    pause(60)


def test_ctrl_c_once_finishes_the_member_and_stops(db: Database) -> None:
    work = Fake(plan_of(member("a"), member("b"), member("c")))
    keyboard = Keyboard(work)
    keyboard.press("stop", times=1)
    with pytest.raises(Stopped, match="left as they were: b, c"):
        keyboard.deploy(db)
    assert work.acts == ["gate a", "a stop", "a switch", "a wait"]
    assert len(keyboard.answers) == 1
    assert not stop_asked()


def test_ctrl_c_twice_cuts_the_step_off_and_puts_the_member_back(db: Database) -> None:
    work = Fake(plan_of(member("a"), member("b")))
    keyboard = Keyboard(work)
    keyboard.press("switch", times=2, then=wait_for_an_answer)
    with pytest.raises(RolledBack, match="interrupted by Ctrl-C"):
        keyboard.deploy(db)
    assert work.acts == ["gate a", "a stop", "a switch", "a switch-back", "a start"]
    assert len(keyboard.answers) == 2


@pytest.mark.parametrize("name", [None, signal.SIGTERM])
def test_a_step_with_nothing_to_put_back_ends_with_an_outcome(
    db: Database, name: signal.Signals | None
) -> None:
    work = Fake(plan_of(Group("install", (), (Do("a", "install"),))))
    keyboard = Keyboard(work)
    if name:
        keyboard.send("install", name, then=wait_for_an_answer)
    else:
        keyboard.press("install", times=2, then=wait_for_an_answer)
    with pytest.raises(StepFailed, match="and what is half done stays as it is") as raised:
        keyboard.deploy(db)
    assert raised.value.next_step == "run the same command again, which goes on from there"


def test_ctrl_c_a_third_time_cuts_the_putting_back_off(db: Database) -> None:
    work = Fake(plan_of(member("a"), member("b")))
    keyboard = Keyboard(work)
    keyboard.press("switch", times=2, then=wait_for_an_answer)
    keyboard.press("switch-back", times=1, then=wait_for_an_answer)
    with pytest.raises(StepFailed, match="interrupted by Ctrl-C, and what is half done stays"):
        keyboard.deploy(db)
    assert work.acts == ["gate a", "a stop", "a switch", "a switch-back"]


def test_beside_a_step_that_has_not_ended_nothing_is_put_back(db: Database) -> None:
    work = Fake(plan_of(member("a"), member("b")))
    keyboard, ends = Keyboard(work), threading.Event()
    keyboard.press("switch", times=3, then=lambda: ends.wait(60))
    with pytest.raises(StepFailed, match="may still go on") as raised:
        keyboard.deploy(db)
    assert isinstance(raised.value.__cause__, Abandoned)
    ends.set()
    assert work.acts == ["gate a", "a stop", "a switch"]


def test_a_stop_that_was_asked_for_before_changes_nothing(db: Database) -> None:
    work = Fake(plan_of(member("a"), before=(Do("a", "backup"),)))
    with stop_on_signals(lambda _: None):
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
    work = Fake(plan_of(Group("all", (), steps, parallel=True), undoes="all"))
    keyboard = Keyboard(work)
    keyboard.press("one", times=2)
    with pytest.raises(RolledBack, match="interrupted by Ctrl-C"):
        keyboard.deploy(db)
    undone = [act.partition(" ")[2].startswith("-") for act in work.acts[1:]]
    assert undone == sorted(undone)
    assert undone.count(True) == undone.count(False) < len(steps)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP], ids=["SIGTERM", "SIGHUP"])
def test_what_ends_the_process_puts_the_member_back_first(
    db: Database, sent: signal.Signals
) -> None:
    work = Fake(plan_of(member("a"), member("b")))
    keyboard = Keyboard(work)
    keyboard.send("switch", sent, then=wait_for_an_answer)
    with pytest.raises(RolledBack, match=f"ended by {sent.name}; what had been changed was put"):
        keyboard.deploy(db)
    assert work.acts == ["gate a", "a stop", "a switch", "a switch-back", "a start"]
    assert keyboard.answers == [
        f"{sent.name}: interrupting: what is half done is put back; Ctrl-C again cuts that off, too"
    ]


def test_a_closing_terminal_and_a_service_manager_say_it_again_and_are_not_heard(
    db: Database,
) -> None:
    """The shell and the kernel both send SIGHUP; the step under way takes its time to end."""
    work = Fake(plan_of(member("a"), member("b")))
    keyboard = Keyboard(work)

    def again() -> None:
        for each in (signal.SIGHUP, signal.SIGTERM, signal.SIGTERM):
            os.kill(os.getpid(), each)
            time.sleep(0.05)
        pause(60)

    keyboard.send("switch", signal.SIGHUP, then=again)
    keyboard.send("switch-back", then=lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(RolledBack, match="ended by SIGHUP"):
        keyboard.deploy(db)
    assert work.acts == ["gate a", "a stop", "a switch", "a switch-back", "a start"]


def test_ctrl_c_cuts_off_what_is_put_back_after_sigterm(db: Database) -> None:
    work = Fake(plan_of(member("a")))
    keyboard = Keyboard(work)
    keyboard.send("switch", signal.SIGTERM, then=wait_for_an_answer)
    keyboard.press("switch-back", times=1, then=wait_for_an_answer)
    with pytest.raises(StepFailed, match="interrupted by Ctrl-C, and what is half done stays"):
        keyboard.deploy(db)
    assert work.acts == ["gate a", "a stop", "a switch", "a switch-back"]


class Cancelled(BaseException):
    """As Prefect raises at SIGTERM in a flow."""


@pytest.fixture
def prefect_like() -> Iterator[None]:
    """A handler that raises at each SIGTERM, put in place after ours."""

    def cancel(*_: object) -> None:
        raise Cancelled

    before = signal.signal(signal.SIGTERM, cancel)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("prefect_like")
def test_a_second_sigterm_does_not_cut_off_what_prefects_cancel_puts_back(db: Database) -> None:
    work = Fake(plan_of(member("a")))
    keyboard = Keyboard(work)

    def sent() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    def sent_twice() -> None:
        sent()
        time.sleep(0.1)
        sent()
        pause(60)

    keyboard.send("switch", then=sent_twice)
    keyboard.send("switch-back", then=sent)
    with pytest.raises(RolledBack, match="cancelled; what had been changed was put back"):
        run(db, work)
    assert work.acts == ["gate a", "a stop", "a switch", "a switch-back", "a start"]


def test_without_a_command_line_it_is_put_back_too(db: Database) -> None:
    """As in a run of the runner: nobody else would handle SIGHUP, and the process would just end."""
    work = Fake(plan_of(member("a")))
    keyboard = Keyboard(work)

    def hung_up() -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        pause(60)

    keyboard.send("switch", then=hung_up)
    with pytest.raises(RolledBack, match="ended by SIGHUP"):
        run(db, work)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


def test_what_nohup_ignores_stays_ignored(db: Database) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        work = Fake(plan_of(member("a")))
        keyboard = Keyboard(work)
        keyboard.send("switch", then=lambda: os.kill(os.getpid(), signal.SIGHUP))
        keyboard.deploy(db)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert work.acts == ["gate a", "a stop", "a switch", "a wait"]


def test_blocks_in_blocks_obey_once_together() -> None:
    obeyed = 0
    with ended_once():
        for _ in range(2):
            try:
                with ended_once():
                    os.kill(os.getpid(), signal.SIGHUP)
            except Terminated:
                obeyed += 1
        os.kill(os.getpid(), signal.SIGHUP)
    assert obeyed == 1
