"""YAML as nodes, which know their lines, and as plain data; what no file of ours needs is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from quoracy.errors import UsageError

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32


@dataclass(frozen=True, slots=True)
class FileKind:
    """The words in which a kind of file is spoken of.

    Attributes:
        noun: What the file describes.
        file: How such a file is called.
        keys: The first keys in it.
        schema: Where all its keys are told.
    """

    noun: str
    file: str
    keys: str
    schema: str


CLUSTER = FileKind(
    "cluster", "cluster.yaml", "kind, name, …", "`quoracy cluster schema` prints all fields"
)
SERVICE = FileKind(
    "service",
    "service-config.yml",
    "service_type, app_port, …",
    "`quoracy service schema` prints all keys",
)


@dataclass(frozen=True, slots=True)
class Document:
    """A mapping, as nodes and as data."""

    root: yaml.MappingNode
    data: dict[Any, Any]

    def place(self, location: tuple[Any, ...]) -> str:
        """Line and column of a key, or of the nearest thing around it that is in the file."""
        node: yaml.Node = self.root
        mark = node.start_mark
        for part in location:
            found = _child(node, part)
            if found is None:
                break
            mark, node = found
        return _place(mark)


def load(text: str, source: str, kind: FileKind) -> Document:
    """Read a document.

    Args:
        source: Name of the file, for errors.

    Raises:
        UsageError: It is not YAML, not a mapping, too large or too deep, or holds anchors, tags or
            a key twice.
    """
    if len(text.encode(errors="replace")) > MAX_BYTES:
        raise too_large(source, kind)
    try:
        _require_small_and_plain(text, source, kind)
        root = yaml.compose(text, yaml.SafeLoader)
        # ValueError: numbers, dates and characters that exist in YAML and not in Python.
        data = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UsageError(
            f"this is not YAML: {_problem(error, text)}",
            where=source,
            next_step="correct the file; indent with spaces, and quote texts with : # or {",
        ) from None
    if root is None:
        raise UsageError("the file is empty", where=source, next_step=kind.schema)
    _require_unique_keys(root, source)
    if not isinstance(root, yaml.MappingNode) or not isinstance(data, dict):
        raise UsageError(
            f"this is not a {kind.noun}: a mapping with {kind.keys} is expected",
            where=source,
            next_step=kind.schema,
        )
    return Document(root, data)


def too_large(source: str, kind: FileKind = CLUSTER) -> UsageError:
    """The error that tells of a file that is larger than any of its kind needs to be."""
    return UsageError(
        f"the file is larger than {MAX_BYTES} bytes",
        where=source,
        next_step=f"name the {kind.file}; one is a few kilobytes",
    )


def printed(text: str) -> str:
    """The text on one line of a terminal, whatever was in the file."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _require_small_and_plain(text: str, source: str, kind: FileKind) -> None:
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        _require_plain(event, source)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:  # the parser's time grows with the square of it
            raise UsageError(
                f"{_place(event.start_mark)}: nested too deeply for a {kind.noun}",
                where=source,
                next_step=kind.schema,
            )


def _require_plain(event: yaml.Event, source: str) -> None:
    """No anchors, aliases (they expand without bound) and tags: no file of ours needs them."""
    for what, found in (
        ("anchors and aliases", getattr(event, "anchor", None)),
        ("tags", getattr(event, "tag", None)),
    ):
        if found is not None:
            raise UsageError(
                f"{_place(event.start_mark)}: {what} are not allowed",
                where=source,
                next_step="write the value out; quote a text that begins with & * or !",
            )


def _require_unique_keys(node: yaml.Node, source: str) -> None:
    """YAML takes the last of two equal keys without a word; here it is a mistake."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                raise UsageError(
                    f"{_place(key.start_mark)}: {printed(name[:60])} is given twice",
                    where=source,
                    next_step="keep one of the two",
                )
            seen.add(name)
            _require_unique_keys(value, source)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _require_unique_keys(item, source)


def _problem(error: Exception, text: str) -> str:
    """What the parser says, in one line, with line and column first where it knows them."""
    if isinstance(error, yaml.reader.ReaderError):
        row = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        return f"line {row}, column {column}: the character U+{error.character:04X} is not allowed"
    mark = getattr(error, "problem_mark", None)
    said = str(getattr(error, "problem", None) or str(error) or type(error).__name__)
    line = printed(" ".join(said.split())[:200])
    return f"{_place(mark)}: {line}" if mark else line


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}"


def _child(node: yaml.Node, part: Any) -> tuple[Any, yaml.Node] | None:
    """Place and content of a key of a mapping, or of an item of a list."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            # What stands for a number is a number in the data, and a text among the nodes.
            if getattr(key, "value", None) in (part, str(part)):
                return key.start_mark, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        item: yaml.Node = node.value[part]
        return item.start_mark, item
    return None
