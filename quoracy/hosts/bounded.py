"""Values out of what hosts say, each with its bounds; what does not fit is `Unreadable`. Pure.

A host is a witness, not an authority: it may be broken, or lie. So nothing that it says becomes a number,
a word or a list without a bound, and an answer that does not fit makes that host silent.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from pydantic import ValidationError

from quoracy.specs.document import printed

T = TypeVar("T")
Given = TypeVar("Given")

INT64 = 2**63 - 1
UINT64 = 2**64 - 1
LATEST_S = 253_402_300_799
"""The last second of the year 9999: dates end there."""
LONGEST_WORD = 255
LONGEST_LINE = 4096
"""PATH_MAX of Linux."""
LONGEST_REASON = 200
_SHOWN = 60


class Unreadable(ValueError):
    """What a host says is not what was asked for; the message says what is wrong with it, on one line.

    Args:
        next_step: What the user does next, where that is known.
    """

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.next_step = next_step


def read(what: str, parse: Callable[[Given], T], given: Given) -> T:
    """What a parser makes of an answer; what is wrong with it names the question.

    Args:
        what: The question, as a person knows it; "" when what is wrong says it already.
        given: Comes from a host.

    Raises:
        Unreadable: It cannot be parsed.
    """
    try:
        return parse(given)
    # Parsers do nothing but parse: whatever they raise, libraries in them included, is the answer's fault.
    except Exception as error:
        known = error if isinstance(error, Unreadable) else None
        said = str(known) if known else f"{type(error).__name__}: {error}"
        reason = one_line(said, LONGEST_REASON)
        advice = known.next_step if known else ""
        raise Unreadable(f"{what}: {reason}" if what else reason, advice) from error


def parsed(answers: Mapping[str, Given], question: str, parse: Callable[[Given], T]) -> T:
    """What a parser makes of the answer to one of several questions.

    Raises:
        Unreadable: There is none, or it cannot be parsed.
    """
    if question not in answers:
        raise Unreadable(f"{question}: there is no answer")
    return read(question, parse, answers[question])


def one_line(text: str, longest: int = LONGEST_LINE) -> str:
    """The text as it may be shown: on one line, printable, and cut where it is too long."""
    shown = printed(text[: longest + 1].strip().replace("\n", " "))
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def value(told: Mapping[str, str], name: str) -> str:
    """One of the `key=value` lines.

    Raises:
        Unreadable: It is not there.
    """
    if name not in told:
        raise Unreadable(f"it does not say {name!r}")
    return told[name]


def whole(text: str, what: str, most: int = INT64) -> int:
    """A number without a sign, up to `most`."""
    if not re.fullmatch(r"[0-9]{1,20}", text) or int(text) > most:
        raise _wrong(what, text, f"a whole number up to {most}")
    return int(text)


def shown_number(shown: Mapping[str, str], name: str) -> int:
    """A number of `systemctl show`; 0 where it shows none."""
    return whole(shown.get(name) or "0", name)


def seconds(text: str, what: str) -> float:
    """Seconds with or without a fraction, up to the year 9999."""
    if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", text) or float(text) > LATEST_S:
        raise _wrong(what, text, "a time in seconds")
    return float(text)


def word(text: str, what: str) -> str:
    """ASCII without blanks, quotes and what shells, Markdown and terminals take for more; may be empty."""
    if not re.fullmatch(rf"[0-9A-Za-z._:+@/~-]{{0,{LONGEST_WORD}}}", text):
        raise _wrong(what, text, "a plain word")
    return text


def line(text: str, what: str, longest: int = LONGEST_LINE) -> str:
    """Printable text on one line; may be empty."""
    if len(text) > longest or not text.isprintable():
        raise _wrong(what, text, f"printable and at most {longest} characters long")
    return text


def few(items: Sequence[T], what: str, most: int) -> Sequence[T]:
    """A list of at most so many."""
    if len(items) > most:
        raise Unreadable(f"{len(items)} {what}: more than {most}")
    return items


def unbase64(text: str) -> bytes:
    """What was sent in base64, blanks at both ends left out."""
    try:
        return base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unreadable(f"it is not base64 ({error})") from None


def first_of(error: ValidationError) -> str:
    """The first of what is wrong: where, and what; values are not repeated, they may be long."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else first["msg"]


def _wrong(what: str, found: str, wanted: str) -> Unreadable:
    return Unreadable(f"{what} is {one_line(found, _SHOWN)!r}, not {wanted}")
