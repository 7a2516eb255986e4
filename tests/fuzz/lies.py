"""What a broken or hostile host may say: a recorded answer, changed in one to three places, at any depth.

An answer is unwrapped as far as it goes (frame, base64, gzip, tar, JSON, lines), changed there, and wrapped
again: a change of its bytes alone would rarely get past base64.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import io
import json
import re
import tarfile
import zlib
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy[Any]], Any]

NUMBERS = (
    "-1", "0", "1", "00", "+1", "1_0", "0x10", "1e999", "nan", "inf", "-inf", "Infinity", "3.14", "9" * 40, "\u0661\u0662",
    str(2**31), str(2**63 - 1), str(2**63), str(2**64 - 1), str(2**64), "9" * 5000, "253402300800", "",
)  # fmt: skip
WORDS = (
    "", " ", "x", "[/x]", "[red]", "| a | b |", "\x1b[31m", "\x1b]0;x\x07", "\x00", "\r", "\x0b", "\x85", "\u2028",
    "\u202e", "\ud800", "é" * 300, "a" * 10_000, "../../etc/passwd", "/", "//", "=", "a=b=c", "\n\n", "@@system ",
    "`", "<script>", "$(reboot)", "'", "no", "yes", "null", "3.x", "3.5", "v", "-", "flat",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 2**31, 2**63, 2**64, float("nan"), float("inf"), [], {}, [[]], [None], {"": None},
    *WORDS,
)  # fmt: skip
DEEP = ("[" * 5_000, '{"a":' * 5_000, "[" * 5_000 + "]" * 5_000, "- " * 500, "{" * 500, "&a [*a]")
TEXTS = (
    "name: [1, 2", "2001-99-99: x\n", "1: a\nb: c\n", "? [a]\n: b\n", "- a\n- b\n", "!!python/object:x {}\n",
    "k: 1e999\n", "k: 0o99\n", "k: 2001-02-30\n", "[Service]\nExecStart\n=x\n", "---\n---\n", "\ufeff", *DEEP,
)  # fmt: skip
LARGEST = 1_000_000
"""Bytes that a change may add: what is larger is the transport's to refuse."""
NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")


def lied(draw: Draw, recorded: bytes) -> bytes:
    """The output of a look with one to three changes; the frame itself is one of the places."""
    output = recorded
    for _ in range(draw(st.sampled_from((1, 1, 1, 2, 3)))):
        lines = output.split(b"\n")
        # The longer it is, the more there is in it to get wrong.
        places = [
            n for n, line in enumerate(lines) for _ in range(max(1, len(line).bit_length() - 5))
        ]
        at = draw(st.sampled_from(places))
        name, _, encoded = lines[at].partition(b" ")
        inside = _decoded(encoded) if name.startswith(b"@@") else None
        if inside is None or draw(st.integers(0, 9)) == 0:
            output = _bytes(draw, output) if draw(st.booleans()) else _frame(draw, lines, at)
            continue
        text, mark, code = inside.rpartition(b"\n@exit=")
        if draw(st.integers(0, 19)) == 0:
            code = draw(st.sampled_from(NUMBERS)).encode("utf-8", "surrogatepass")
        lines[at] = name + b" " + base64.b64encode(changed(draw, text) + mark + code)
        output = b"\n".join(lines)
    return output


def changed(draw: Draw, data: bytes) -> bytes:
    """The data with one change, in the deepest layer that it opens, or on the way there."""
    if draw(st.integers(0, 7)) == 0:
        return _bytes(draw, data)
    for layer in (_in_lines_of_base64, _in_gzip, _in_tar, _in_json):
        found = layer(draw, data)
        if found is not None:
            return found
    return _text(draw, data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogatepass")


def _decoded(encoded: bytes) -> bytes | None:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None


def _frame(draw: Draw, lines: list[bytes], at: int) -> bytes:
    """Lines lost, doubled, exchanged, or called like another one."""
    other = draw(st.integers(0, len(lines) - 1))
    match draw(st.sampled_from(("lost", "doubled", "exchanged", "renamed"))):
        case "lost":
            lines = lines[:at] + lines[at + 1 :]
        case "doubled":
            lines = [*lines, lines[at]]
        case "exchanged":
            (first, _, one), (second, _, two) = (
                lines[at].partition(b" "),
                lines[other].partition(b" "),
            )
            lines[at], lines[other] = first + b" " + two, second + b" " + one
        case _:
            lines[at] = lines[other].partition(b" ")[0] + b" " + lines[at].partition(b" ")[2]
    return b"\n".join(lines)


def _bytes(draw: Draw, data: bytes) -> bytes:
    """A piece cut out, and something put there."""
    start = draw(st.integers(0, len(data)))
    length = draw(st.sampled_from((0, 1, 2, 8, 64, 512, len(data))))
    put = draw(
        st.binary(max_size=8) | st.sampled_from((b"", b"\x00" * 512, b"\xff" * 64, b"\n" * 500))
    )
    return bytes(data[:start] + put + data[start + length :])


def _in_lines_of_base64(draw: Draw, data: bytes) -> bytes | None:
    """Each line in base64, as files, names and manifests are sent."""
    lines = data.split(b"\n")
    inside = [at for at, line in enumerate(lines) if len(line) >= 16 and _decoded(line) is not None]
    if not inside or re.fullmatch(rb"[0-9a-f\s]*", data):  # a digest would pass for base64
        return None
    at = draw(st.sampled_from(inside))
    lines[at] = base64.b64encode(changed(draw, _decoded(lines[at]) or b""))
    return b"\n".join(lines)


def _in_gzip(draw: Draw, data: bytes) -> bytes | None:
    if not data.startswith(b"\x1f\x8b"):
        return None
    try:
        unpacked = gzip.decompress(data)
    except (OSError, EOFError, ValueError, zlib.error):
        return None  # changed before
    return gzip.compress(changed(draw, unpacked), compresslevel=1, mtime=0)


def _in_tar(draw: Draw, data: bytes) -> bytes | None:
    """Members changed, or fields of a header with its checksum put right."""
    if len(data) < 1024 or data[257:262] != b"ustar":
        return None
    if draw(st.booleans()):
        return _header(draw, data)
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            members = [(one, archive.extractfile(one) if one.isreg() else None) for one in archive]
            files = [(one, b"" if content is None else content.read()) for one, content in members]
    except (tarfile.TarError, ValueError, OverflowError, RecursionError, EOFError):
        return None  # changed before
    return _repacked(draw, files) if files else None


def _repacked(draw: Draw, files: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    at = draw(st.integers(0, len(files) - 1))
    info, content = files[at]
    match draw(st.sampled_from(("content", "content", "text", "name", "link", "type", "lost"))):
        case "content":
            content = changed(draw, content)
        case "text":
            content = draw(st.sampled_from(TEXTS + WORDS)).encode("utf-8", "surrogatepass")
        case "name":
            info.name = draw(st.sampled_from(WORDS)).replace("\x00", "") or "x"
        case "link":
            info.linkname = draw(st.sampled_from(WORDS)).replace("\x00", "")
        case "type":
            info.type = draw(st.sampled_from((b"0", b"1", b"2", b"3", b"5", b"6", b"S")))
        case _:
            files = files[:at] + files[at + 1 :]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:", format=tarfile.GNU_FORMAT) as archive:
        for number, (one, old) in enumerate(files):
            body = content if number == at and one is info else old
            one.size = len(body) if one.isreg() else 0
            archive.addfile(one, io.BytesIO(body) if one.isreg() else None)
    return packed.getvalue()


_FIELDS = {
    "mode": (100, 8),
    "size": (124, 12),
    "time": (136, 12),
    "type": (156, 1),
    "magic": (257, 8),
}
_HEADER_VALUES = (
    b"\xff" * 12, b"\x80" + b"\x00" * 7 + b"\xff" * 4, b"77777777777\x00", b"-1\x00", b"x\x00", b"\x00" * 12,
    b"L", b"K", b"x", b"g", b"S", b"1", b"5", b"9",
)  # fmt: skip


def _header(draw: Draw, data: bytes) -> bytes:
    """A field of the first header, and its sum; or the same header so often that a reader may recurse."""
    offset, length = _FIELDS[draw(st.sampled_from(sorted(_FIELDS)))]
    block = bytearray(data[:512])
    block[offset : offset + length] = draw(st.sampled_from(_HEADER_VALUES))[:length].ljust(
        length, b"\x00"
    )
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block):06o}\x00 ".encode()
    times = draw(st.sampled_from((1, 1, 1, 2_000)))
    return bytes(block) * times + data[512:]


def _in_json(draw: Draw, data: bytes) -> bytes | None:
    """A whole answer in JSON, or one of its lines, or the JSON at the end of one."""
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    inside = [at for at, line in enumerate(lines) if re.search(r"[\[{].*[\]}]$", line)]
    if not inside:
        return None
    at = draw(st.sampled_from(inside))
    start = re.search(r"[\[{]", lines[at])
    before, text = (
        lines[at][: start.start() if start else 0],
        lines[at][start.start() if start else 0 :],
    )
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None  # changed before, or no JSON
    said = json.dumps(_value(draw, found))
    if draw(st.integers(0, 9)) == 0:
        said = draw(st.sampled_from((*DEEP, said[: len(said) // 2], said * 2, f"[{said}]")))
    if draw(st.integers(0, 4)) == 0:
        said = _number(draw, said)
    lines[at] = before + said
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _value(draw: Draw, found: Any) -> Any:
    """One part of it replaced, taken out, or put there many times."""
    inner = (
        list(found.items())
        if isinstance(found, dict)
        else list(enumerate(found))
        if isinstance(found, list)
        else []
    )
    if not inner or draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from(VALUES))
    key, part = draw(st.sampled_from(inner))
    if isinstance(found, list):
        many = draw(st.sampled_from((1, 1, 1, 300)))
        return [*found[:key], *([_value(draw, part)] * many), *found[key + 1 :]]
    if draw(st.integers(0, 5)) == 0:
        return {name: one for name, one in found.items() if name != key}
    return {**found, key: _value(draw, part)}


def _number(draw: Draw, text: str) -> str:
    found = list(NUMBER.finditer(text))
    if not found:
        return text
    where = draw(st.sampled_from(found))
    return text[: where.start()] + draw(st.sampled_from(NUMBERS)) + text[where.end() :]


def _text(draw: Draw, text: str) -> str:
    """Lines and words of what is neither of the others."""
    lines = text.split("\n")
    at = draw(st.integers(0, len(lines) - 1))
    word = draw(st.sampled_from(WORDS))
    key, mark, _ = lines[at].partition("=")
    match draw(st.sampled_from(("number", "value", "word", "lost", "many", "all", "names"))):
        case "number":
            return _number(draw, text)
        case "value":
            lines[at] = f"{key}={word}" if mark else word
        case "word":
            words = lines[at].split(" ")
            words[draw(st.integers(0, len(words) - 1))] = word
            lines[at] = " ".join(words)
        case "lost":
            lines = lines[:at] + lines[at + 1 :]
        case "many":
            times = min(draw(st.sampled_from((2, 2_000))), LARGEST // (len(lines[at]) + 1))
            lines = [*lines, *(f"{lines[at]}{n}" for n in range(times))]
        case "all":
            return draw(st.sampled_from(TEXTS + WORDS))
        case _:
            names = text.split("\0")
            names[draw(st.integers(0, len(names) - 1))] = word
            return "\0".join(names)
    return "\n".join(lines)
