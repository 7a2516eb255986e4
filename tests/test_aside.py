"""Work beside a thread that only waits, and what becomes of it when the waiting is interrupted."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from functools import partial

import pytest

from quoracy.aside import Abandoned, CutOff, aside, pause, require_uncut, side_by_side

COLOUR = ContextVar("COLOUR", default="grey")


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """As the interpreter has it, whatever started the tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def failing() -> int:
    raise ValueError("no")


def test_values_and_errors_come_in_the_order_of_the_calls() -> None:
    def slow() -> int:
        time.sleep(0.1)
        return 1

    first, second, third = side_by_side((slow, failing, lambda: 3), 3)
    assert (first.result(), third.result()) == (1, 3)
    assert isinstance(second.error, ValueError)
    assert side_by_side((), 3) == []
    with pytest.raises(ValueError, match="no"):
        aside(failing)


def test_so_many_are_carried_out_at_a_time() -> None:
    met, most = [0], [0]
    lock = threading.Lock()

    def call() -> None:
        with lock:
            met[0] += 1
            most[0] = max(most[0], met[0])
        time.sleep(0.02)
        with lock:
            met[0] -= 1

    side_by_side([call] * 12, 3)
    assert most[0] == 3


def test_each_call_has_the_callers_context_for_itself() -> None:
    COLOUR.set("red")

    def call() -> str:
        seen = COLOUR.get()
        COLOUR.set("blue")
        return seen

    assert [one.value for one in side_by_side([call] * 3, 1)] == ["red"] * 3
    assert COLOUR.get() == "red"


def test_interrupted_it_ends_what_is_under_way_and_begins_nothing_more() -> None:
    begun: list[int] = []
    ended: list[int] = []

    def call(place: int) -> None:
        begun.append(place)
        if place == 1:
            press()
        try:
            pause(60)
        except CutOff:
            ended.append(place)
            raise

    with pytest.raises(KeyboardInterrupt) as raised:
        side_by_side([partial(call, place) for place in range(9)], 2)
    assert raised.type is KeyboardInterrupt
    assert sorted(begun) == sorted(ended) == [0, 1]


def test_what_is_part_of_work_that_was_cut_off_is_cut_off_as_well() -> None:
    said: list[str] = []

    def inner() -> None:
        press()
        pause(60)

    def outer() -> None:
        (one, two) = side_by_side((inner, lambda: pause(60)), 2)
        said.extend(type(each.error).__name__ for each in (one, two))

    with pytest.raises(KeyboardInterrupt):
        aside(outer)
    assert said == ["CutOff", "CutOff"]


def test_work_that_was_cut_off_begins_no_part_of_it_any_more() -> None:
    begun: list[int] = []

    def part(place: int) -> None:
        begun.append(place)
        if place == 1:
            press()
        pause(60)

    with pytest.raises(KeyboardInterrupt):
        aside(lambda: side_by_side([partial(part, place) for place in range(6)], 2))
    assert sorted(begun) == [0, 1]


def test_interrupted_again_it_says_that_work_may_still_go_on() -> None:
    ends = threading.Event()

    def stubborn() -> None:
        press()
        with pytest.raises(CutOff):
            pause(60)
        press()
        ends.wait(60)

    with pytest.raises(Abandoned):
        aside(stubborn)
    ends.set()


def test_outside_nothing_is_ever_cut_off() -> None:
    def pressed() -> None:
        press()
        pause(60)

    def uncut() -> str:
        require_uncut()
        return "not either"

    with pytest.raises(KeyboardInterrupt):
        aside(pressed)
    require_uncut()
    pause(0)
    assert aside(uncut) == "not either"
