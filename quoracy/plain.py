"""Text from hosts, apps and callers as it may be shown: nothing in it steers a terminal. Pure.

What comes in from outside is cleaned where it becomes text for people: errors, verdicts, changes, output.
"""

from __future__ import annotations

import re

# Control sequences (ECMA-48), with what is between their beginning and their end: colours and cursor
# movements, then titles, links and clipboards, which a terminal takes to the end of the line at most here.
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
# Every other control character, what turns the direction of writing around (UAX #9), and lone surrogates,
# which no terminal can be sent.
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_LINE_END = re.compile(r"\r\n?|[\u2028\u2029]")
_ODD = re.compile(f"{_CONTROL.pattern}|{_LINE_END.pattern}")


def plain(text: str) -> str:
    """The text without what is not text; tabs and line ends stay."""
    if not _ODD.search(text):
        return text
    return _CONTROL.sub("", _LINE_END.sub("\n", _SEQUENCE.sub("", text)))


def harmless(text: str) -> str:
    """The text without the characters that steer; what they would have steered is seen, and nothing is hidden."""
    return _CONTROL.sub("", text)


def one_line(text: str) -> str:
    """The same in one line."""
    return " ".join(plain(text).split())
