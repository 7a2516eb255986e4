"""Hints name only commands that exist: each of them goes through the command line's own parser."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from quoracy.cli.app import app
from quoracy.cli.lazy import LazyCommand

ROOT = Path(__file__).parents[2]
FOLDERS = ("quoracy", "flows", "tasks", "deployments")
COMMAND = re.compile(r"`quoracy ([^`]*)`")
PLACEHOLDER = "x"
USAGE_ERROR: Any = typer.BadParameter.__base__


@dataclass(frozen=True)
class Text:
    """A text of the sources; what is put into it at run time is a placeholder."""

    place: str
    text: str
    is_hint: bool = False
    is_docstring: bool = False


def texts(path: Path) -> Iterator[Text]:
    tree, module = ast.parse(path.read_text()), None
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and isinstance(node.body[0], ast.Expr)
    }
    inner = {id(v) for n in ast.walk(tree) if isinstance(n, ast.JoinedStr) for v in n.values}
    hints = {
        id(part)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        for keyword in call.keywords
        if keyword.arg == "next_step"
        for part in ast.walk(keyword.value)
    }
    for node in ast.walk(tree):
        if id(node) in inner or not isinstance(node, ast.Constant | ast.JoinedStr):
            continue
        place, hint = f"{path.relative_to(ROOT)}:{node.lineno}", id(node) in hints
        if isinstance(node, ast.JoinedStr):
            module = module or importlib.import_module(
                ".".join(path.relative_to(ROOT).with_suffix("").parts)
            )
            yield Text(place, "".join(_part(v, module) for v in node.values), hint)
        elif isinstance(node.value, str):
            yield Text(place, node.value, hint, id(node) in docstrings)


def _part(part: ast.expr, module: ModuleType) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    assert isinstance(part, ast.FormattedValue)
    # A constant of the module may be a command's name; whatever else there is, is a subject's.
    named = getattr(module, part.value.id, None) if isinstance(part.value, ast.Name) else None
    return named if isinstance(named, str) else PLACEHOLDER


TEXTS = [
    text
    for folder in FOLDERS
    for path in sorted((ROOT / folder).rglob("*.py"))
    for text in texts(path)
]
COMMANDS = [(text, command) for text in TEXTS for command in COMMAND.findall(text.text) if command]


def parse(words: list[str], *, names_only: bool = False) -> None:
    """Raise when the command line would not take the words, or (names only) has no such command."""
    command: Any = typer.main.get_command(app)
    context, name = None, "quoracy"
    while isinstance(command, TyperGroup) and words:
        context = command.context_class(command, parent=context, info_name=name)
        name, *words = words
        command = command.get_command(context, name)
        if isinstance(command, LazyCommand):
            command = command.load()
        if command is None:
            raise typer.BadParameter(f"no such command: {name}")
    if not isinstance(command, TyperGroup) and not names_only:
        command.make_context(name, words, parent=context)


@pytest.mark.parametrize(("text", "command"), COMMANDS, ids=[text.place for text, _ in COMMANDS])
def test_the_command_line_takes_it(text: Text, command: str) -> None:
    # A docstring speaks of a command; everything else tells somebody to run it.
    parse(shlex.split(command), names_only=text.is_docstring)


def test_they_are_found_at_all() -> None:
    assert len(COMMANDS) > 40
    for bad in ("etcd-replace demo", "status", "cluster apply", "status demo --depth 3"):
        with pytest.raises(USAGE_ERROR):
            parse(shlex.split(bad))


def test_a_command_in_a_hint_stands_between_backticks() -> None:
    bare = [
        text
        for text in TEXTS
        if text.is_hint and re.search(r"\bquoracy [a-z]", COMMAND.sub("", text.text))
    ]
    assert bare == []
