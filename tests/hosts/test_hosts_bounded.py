"""Values out of what hosts say: each has a bound, and what does not fit says what is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest

from quoracy.hosts import bounded
from quoracy.hosts.bounded import Unreadable


@pytest.mark.parametrize(
    "text",
    ["", "-1", "+1", "1.0", "1_0", " 1", "1\n", "0x1", "nan", "\u0661", str(2**63), "9" * 5000],
)
def test_what_is_no_whole_number(text: str) -> None:
    with pytest.raises(Unreadable, match="its size is '"):
        bounded.whole(text, "its size")


@pytest.mark.parametrize(
    "text", ["", "nan", "inf", "-inf", "-1", "1e9", "1.", ".5", "noon", "253402300800", "9" * 400]
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(Unreadable, match="clock is '"):
        bounded.seconds(text, "clock")


def test_numbers_and_times() -> None:
    assert bounded.whole("9223372036854775807", "n") == 2**63 - 1
    assert bounded.whole("007", "n") == 7
    assert bounded.seconds("1795222033.693339904", "clock") == pytest.approx(1795222033.693)
    assert (
        bounded.shown_number({}, "MainPID") == bounded.shown_number({"MainPID": ""}, "MainPID") == 0
    )


@pytest.mark.parametrize(
    "text", ["a b", "a\n", "é", "[x]", "a|b", "`a`", "$a", "\x1b[31m", "a" * 256, "\ud800"]
)
def test_what_is_no_word(text: str) -> None:
    with pytest.raises(Unreadable, match="not a plain word"):
        bounded.word(text, "it")


@pytest.mark.parametrize("text", ["a\nb", "\x1b[31m", "\u202e", "\x85", "\ud800", "a" * 5000])
def test_what_is_no_line(text: str) -> None:
    with pytest.raises(Unreadable, match="not printable and at most 4096 characters long"):
        bounded.line(text, "it")


@pytest.mark.parametrize("text", ["%%%", "a", "QQ==QQ", "é"])
def test_what_is_no_base64(text: str) -> None:
    with pytest.raises(Unreadable, match="it is not base64"):
        bounded.unbase64(text)


@pytest.mark.parametrize(
    "error",
    [KeyError("x"), RecursionError(), EOFError("\x1b\n"), MemoryError(), TypeError("é" * 999)],
)
def test_whatever_a_parser_raises_is_the_answers_fault(error: Exception) -> None:
    def parse(_: str) -> Any:
        raise error

    with pytest.raises(Unreadable) as told:
        bounded.read("members", parse, "answer")
    assert str(told.value).startswith(f"members: {type(error).__name__}:")
    assert str(told.value).isprintable()
    assert len(str(told.value)) < 300


def test_a_question_without_an_answer_is_named() -> None:
    with pytest.raises(Unreadable, match="unit: there is no answer"):
        bounded.parsed({"system": "x"}, "unit", str)


def test_more_than_there_can_be() -> None:
    assert bounded.few([1, 2], "releases", 2) == [1, 2]
    with pytest.raises(Unreadable, match="3 releases: more than 2"):
        bounded.few([1, 2, 3], "releases", 2)
