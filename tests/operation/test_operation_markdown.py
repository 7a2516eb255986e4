"""Plans as Markdown: what hosts have said is text in it, by a parser of CommonMark with GFM's tables."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from quoracy.operation.markdown import cell, fenced, inline, plan_markdown
from quoracy.operation.plan import Change, Plan
from quoracy.operation.verdict import failed

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
# What makes Markdown of a text, closely together.
NASTY = st.text(st.sampled_from("\\`*_[]()<>|~!&#;-+=.:/1ab \n"), max_size=40)
HOSTILE = [
    "[click](http://evil.example)",
    "![](http://evil.example/pixel.png)",
    "<img src=x onerror=alert(1)>",
    "<http://evil.example>",
    "a | b | c",
    "**done**, __done__, ~~done~~, `done`",
    "&lt;b&gt;",
    "# heading",
    "1. list",
    "--- \n===",
    "\\`x`",
]


def inner(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield from token.children or ()


def read(markdown: str) -> str:
    """The text of one paragraph or cell; anything but text in it is a failure."""
    tokens = list(inner(READER.parse(markdown)))
    assert {token.type for token in tokens} <= {"text", "text_special"}, tokens
    return "".join(token.content for token in tokens)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_is_read_as_it_is(text: str) -> None:
    (block, *_) = READER.parse(inline(text))
    assert block.type == "paragraph_open"
    assert read(inline(text)) == " ".join(text.split())


@given(NASTY)
def test_no_text_becomes_anything_else(text: str) -> None:
    assert read(inline(text)) == " ".join(text.split())
    row = f"| a | b |\n|---|---|\n| {cell(text)} | x |\n"
    cells = [token.content for token in inner(READER.parse(row))]
    assert "".join(cells[2:]) == f"{' '.join(text.split())}x"


@given(NASTY)
def test_nothing_ends_a_block_of_code(text: str) -> None:
    tokens = READER.parse(f"{fenced(text)}\nafter")
    assert [token.type for token in tokens[:2]] == ["fence", "paragraph_open"]
    assert tokens[0].content == f"{text}\n"


def test_a_plan_holds_no_link_of_others() -> None:
    evil = "[x](http://evil.example) <b> ![y](z)"
    plan = Plan(
        "etcd-deploy",
        "demo",
        "change",
        evil,
        verdicts=(failed("No", evil, where=evil, next_step=evil),),
        changes=(Change(evil, evil, evil, evil),),
    )
    kinds = {token.type for token in inner(READER.parse(plan_markdown(plan)))}
    assert kinds <= {
        "text",
        "text_special",
        "strong_open",
        "strong_close",
        "em_open",
        "em_close",
        "code_inline",
    }
