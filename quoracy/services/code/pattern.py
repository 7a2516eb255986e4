"""One line of an ignore file, compiled by pathspec so that it answers as git does.

git asks each line about each path, and never goes into a directory that is left out; pathspec's own
`match_file` lets a line that names a directory speak for everything in it, so that `!src` would take
back what a later `*/` leaves out. Here a line speaks for a path itself alone. git compares bytes
(wildmatch.c); pathspec takes white space at the end for blanks, lets `[!a]` match a slash and knows
neither `[[:alpha:]]` nor a backslash in brackets. So every byte that could be taken for something
else becomes a letter of its own, in names and in patterns alike.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass

from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

_PLAIN = frozenset(b"._/" + (string.ascii_letters + string.digits).encode())
_SPELLED = {byte: 0x100 + byte for byte in range(256) if byte not in _PLAIN}
_NOTHING = "\u0300"  # no byte is spelled like that
_SLASH = ord("/")
_CLASSES = {
    b"alpha": string.ascii_letters,
    b"digit": string.digits,
    b"alnum": string.ascii_letters + string.digits,
    b"upper": string.ascii_uppercase,
    b"lower": string.ascii_lowercase,
    b"space": string.whitespace,
    b"blank": " \t",
    b"punct": string.punctuation,
    b"xdigit": string.hexdigits,
    b"print": "".join(map(chr, range(32, 127))),
    b"graph": "".join(map(chr, range(33, 127))),
    b"cntrl": "".join(map(chr, (*range(32), 127))),
}


@dataclass(frozen=True, slots=True)
class Pattern:
    """A line that can match.

    Attributes:
        ignores: Whether what it matches is left out; with "!" it is taken back.
        by_name: Whether it is about the last part of a path, as it holds no slash.
    """

    ignores: bool
    by_name: bool
    expression: re.Pattern[str]

    def matches(self, path: str, name: str) -> bool:
        """Whether it is about this path; both as `spelled`, a directory with a slash at its end."""
        return self.expression.fullmatch(name if self.by_name else path) is not None


def spelled(name: bytes) -> str:
    """A path as the patterns are to see it."""
    return name.decode("latin-1").translate(_SPELLED)


def parse_pattern(line: bytes) -> Pattern | None:
    """The pattern of a line; None when it is empty, a comment, or can never match."""
    line = _trimmed(line.removesuffix(b"\r"))
    if line.startswith(b"#"):
        return None
    taken_back = line.startswith(b"!")
    body = line[taken_back:]
    by_name = b"/" not in body.removesuffix(b"/")
    text = _spelled_pattern(body)
    slash = "/" * text.endswith("/")
    parts = text.removesuffix("/").removeprefix("/").split("/")
    if not all(parts):
        return None
    expression = GitIgnoreSpecPattern("/" + "/".join(_written_out(parts, by_name)) + slash).regex
    return Pattern(not taken_back, by_name, expression) if expression else None


def _written_out(parts: list[str], by_name: bool) -> list[str]:
    """Without what pathspec shortens: `*` to anything at all, `a/**` to all that begins with a/."""
    stars = ["?*" if by_name or part == "*" else "**" for part in parts]
    parts = [part if part.strip("*") else star for part, star in zip(parts, stars, strict=True)]
    return [*parts, "?*"] if parts[-1] == "**" else parts


def _spelled_pattern(line: bytes) -> str:
    parts: list[str] = []
    at = 0
    while at < len(line):
        part, at = _part(line, at)
        if not part:
            return ""
        parts.append(part)
    return "".join(parts)


def _trimmed(line: bytes) -> bytes:
    """Without the blanks at the end that no backslash keeps."""
    end = at = 0
    while at < len(line):
        blank = line[at : at + 1] == b" "
        at += 2 if line[at : at + 1] == b"\\" else 1
        if not blank:
            end = at
    return line[:end]


def _part(line: bytes, at: int) -> tuple[str, int]:
    """The part that begins there, and where the next one does; "" when it is not finished."""
    byte = line[at : at + 1]
    if byte == b"\\":
        return spelled(line[at + 1 : at + 2]), at + 2
    if byte == b"[":
        return _brackets(line, at + 1)
    return (byte.decode() if byte in b"*?" else spelled(byte)), at + 1


def _brackets(line: bytes, at: int) -> tuple[str, int]:
    """A set of bytes, each of them named; the loop is that of git's wildmatch.c."""
    negated = line[at : at + 1] in (b"!", b"^")
    at += negated
    members: set[int] = set()
    first, previous = True, -1
    while first or line[at : at + 1] != b"]":
        first = False
        found = _member(line, at, previous)
        if found is None:
            return "", at
        more, previous, at = found
        members |= more
    matching = (set(range(256)) - members if negated else members) - {_SLASH}
    return f"[{spelled(bytes(sorted(matching)))}]" if matching else _NOTHING, at + 1


def _member(line: bytes, at: int, previous: int) -> tuple[set[int], int, int] | None:
    """The bytes that stand there, the last of them when a range may begin with it, and the next place."""
    if at >= len(line):
        return None
    if line[at] == ord("-") and previous >= 0 and line[at + 1 : at + 2] not in (b"", b"]"):
        last = at + 1 + (line[at + 1] == ord("\\"))
        return (set(range(previous, line[last] + 1)), -1, last + 1) if last < len(line) else None
    if line[at : at + 2] == b"[:":
        end = line.find(b"]", at + 2)
        if end < 0:
            return None
        if end > at + 2 and line[end - 1] == ord(":"):
            name = _CLASSES.get(line[at + 2 : end - 1])
            return None if name is None else (set(name.encode()), -1, end + 1)
    at += line[at] == ord("\\")
    return ({line[at]}, line[at], at + 1) if at < len(line) else None
