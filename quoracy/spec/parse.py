"""YAML text to spec; every error names the field, the line and the column."""

from __future__ import annotations

import difflib
from typing import Any

import yaml
from pydantic import ValidationError

from quoracy.errors import UsageError
from quoracy.spec.etcd import EtcdCluster
from quoracy.spec.fields import PATTERN_WORDS, place_of

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
MAX_TOLD = 20
_TYPES = {
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping, `key: value`",
    "int_type": "must be a whole number without quotes",
    "model_type": "must be a mapping, `key: value`",
    "string_type": "must be a text",
    "tuple_type": "must be a list, each item with `- ` before it",
}
_SCHEMA = "`quoracy cluster schema` prints all fields"


def parse_cluster(text: str, *, source: str, home: str = "~") -> EtcdCluster:
    """Read one cluster.yaml.

    Args:
        text: The YAML document.
        source: Name of the file, for errors.
        home: What `~` stands for in paths on the controller.

    Raises:
        UsageError: Not YAML, too large, with anchors, or not a valid cluster; it names every
            wrong field with line and column.
    """
    root, data = _load(text, source)
    if not isinstance(data, dict):
        raise UsageError(
            "this is not a cluster: a mapping with kind, name, … is expected",
            where=source,
            next_step=_SCHEMA,
        )
    try:
        return EtcdCluster.model_validate(data, context={"home": home})
    except ValidationError as error:
        details = error.errors(include_url=False)
        wrong = [_describe(detail, root) for detail in details[:MAX_TOLD]]
        if len(details) > MAX_TOLD:
            wrong.append(f"and {len(details) - MAX_TOLD} more")
        raise UsageError(
            "the cluster cannot be used:\n    " + "\n    ".join(wrong),
            where=source,
            next_step=f"correct what is named above; {_SCHEMA}",
        ) from None


def _load(text: str, source: str) -> tuple[yaml.Node, Any]:
    """The document as nodes, which know their lines, and as plain data."""
    if len(text.encode(errors="replace")) > MAX_BYTES:
        raise too_large(source)
    try:
        _require_small_and_plain(text, source)
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
        raise UsageError("the file is empty", where=source, next_step=_SCHEMA)
    _require_unique_keys(root, source)
    return root, data


def too_large(source: str) -> UsageError:
    """The error that tells of a file that no cluster needs."""
    return UsageError(
        f"the file is larger than {MAX_BYTES} bytes",
        where=source,
        next_step="name the cluster.yaml; one is a few kilobytes",
    )


def _require_small_and_plain(text: str, source: str) -> None:
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        _require_plain(event, source)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:  # the parser's time grows with the square of it
            raise UsageError(
                f"{_place(event.start_mark)}: nested too deeply for a cluster",
                where=source,
                next_step=_SCHEMA,
            )


def _problem(error: Exception, text: str) -> str:
    """What the parser says, in one line, with line and column first where it knows them."""
    if isinstance(error, yaml.reader.ReaderError):
        row = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        return f"line {row}, column {column}: the character U+{error.character:04X} is not allowed"
    mark = getattr(error, "problem_mark", None)
    said = str(getattr(error, "problem", None) or str(error) or type(error).__name__)
    line = " ".join(said.split())[:200]
    return f"{_place(mark)}: {line}" if mark else line


def _require_plain(event: yaml.Event, source: str) -> None:
    """No anchors, aliases (they expand without bound) and tags: no cluster needs them."""
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
                    f"{_place(key.start_mark)}: {name[:60]} is given twice",
                    where=source,
                    next_step="keep one of the two",
                )
            seen.add(name)
            _require_unique_keys(value, source)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _require_unique_keys(item, source)


def _describe(detail: Any, root: yaml.Node) -> str:
    """One wrong field; its value is not repeated, as it may be a secret in the wrong place."""
    location = place_of(detail)
    field = ".".join(str(part)[:60] for part in location) or "cluster"
    return f"{_place(_position(root, location))}: {_printed(field)}: {_said(detail)}"


def _said(detail: Any) -> str:
    message = str(detail["msg"]).removeprefix("Value error, ")
    match detail["type"]:
        case "extra_forbidden":
            return f"there is no such key{_hint(detail['loc'])}"
        case "missing":
            return "this key is required"
        case "string_pattern_mismatch":
            return f"must be {PATTERN_WORDS.get(detail['ctx']['pattern'], message)}"
        case "string_type" if isinstance(detail["input"], int | float):
            return "must be a text: put it in quotes"
        case kind:
            return _TYPES.get(kind) or _printed(message)


def _hint(location: tuple[Any, ...]) -> str:
    """The key that was probably meant, looked up in the schema."""
    root = EtcdCluster.model_json_schema()
    here = root
    for part in location[:-1]:
        inner = here.get("items", {}) if isinstance(part, int) else here["properties"][part]
        choices = (inner, *inner.get("anyOf", ()))
        found = next((one for one in choices if "$ref" in one), inner)
        here = root["$defs"][found["$ref"].rsplit("/", 1)[-1]] if "$ref" in found else inner
    known = here.get("properties", {})
    near = difflib.get_close_matches(str(location[-1])[:60], known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"


def _printed(text: str) -> str:
    """The text on one line of a terminal, whatever was in the file."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}"


def _position(node: yaml.Node, location: tuple[Any, ...]) -> Any:
    """Where the field's key stands, or the nearest thing around it that is in the file."""
    mark = node.start_mark
    for part in location:
        found = _child(node, part)
        if found is None:
            break
        mark, node = found
    return mark


def _child(node: yaml.Node, part: Any) -> tuple[Any, yaml.Node] | None:
    """Place and content of a key of a mapping, or of an item of a list."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if getattr(key, "value", None) == part:
                return key.start_mark, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        item: yaml.Node = node.value[part]
        return item.start_mark, item
    return None
