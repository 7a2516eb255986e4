from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quoracy.errors import CommandFailed, Refused
from quoracy.operation.plan import Change
from quoracy.operation.verdict import failed
from quoracy.plain import harmless, one_line, plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("as it is: äöü 漢字 🙂\n\ttwo", "as it is: äöü 漢字 🙂\n\ttwo"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[1;1Hgone", "gone"),
        ("\x9b31mred", "red"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;aGk=\nnext", "\nnext"),
        ("\x1bP1$r\x1b\\x", "x"),
        ("\x1bcx\x1b", "x"),
        ("a\x00\x07\x08b\x7f\x85c", "abc"),
        ("one\r\ntwo\rthree\u2028four", "one\ntwo\nthree\nfour"),
        ("user\u202etxt.exe\u2066\u200f", "usertxt.exe"),
        ("a\udc80b", "ab"),
    ],
)
def test_what_is_not_text_is_left_out(text: str, shown: str) -> None:
    assert plain(text) == shown


@given(st.text())
def test_what_is_left_steers_nothing_and_stays_as_it_is(text: str) -> None:
    cleaned = plain(text)
    assert plain(cleaned) == cleaned
    assert all(char in "\n\t" or ord(char) >= 0x20 for char in cleaned)
    assert not set(cleaned) & {chr(code) for code in (*range(0x7F, 0xA0), *range(0x202A, 0x202F))}
    cleaned.encode()
    assert "\n" not in one_line(text)


def test_what_was_kept_before_is_shown_with_nothing_hidden() -> None:
    assert harmless("\x1b]0;t\x07\x1b[31mred\x9b2J\n") == "]0;t[31mred2J\n"


def test_a_long_text_of_beginnings_takes_no_longer_than_another() -> None:
    assert plain("\x1b]" * 200_000) == ""
    assert plain("\x1b[" * 200_000) == ""


def test_errors_verdicts_and_changes_hold_nothing_else() -> None:
    error = Refused("\x1b[31mit", where="demo-\x071", next_step="say\u202e no")
    error.add_note("and\x1b[2J more")
    assert str(error) == "demo-1: it\n  Also: and more\n  Next: say no"
    told = CommandFailed("start", where="h", exit_code_remote=1, stderr="\x1b]0;x\x07no")
    assert told.what == "start failed with exit code 1: no"
    verdict = failed("No", "\x1b[31mred", where="h\x00", next_step="\x9b0mrun")
    assert (verdict.message, verdict.where, verdict.next_step) == ("red", "h", "run")
    assert str(Change("h", "unit", "a\x1b[1m", "\x08b")) == "unit: a -> b"
