"""YAML text to spec; every error names the field, the line and the column."""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import ValidationError

from quoracy.errors import UsageError
from quoracy.spec.etcd import EtcdCluster

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32


def parse_cluster(text: str, *, source: str) -> EtcdCluster:
    """Read one cluster.yaml.

    Args:
        text: The YAML document.
        source: Name of the file, for errors.

    Raises:
        UsageError: Not YAML, too large, with anchors, or not a valid cluster; it names every
            wrong field with line and column.
    """
    root, data = _load(text, source)
    if not isinstance(data, dict):
        raise UsageError(
            "this is not a cluster: a mapping with kind, name, … is expected", where=source
        )
    try:
        return EtcdCluster.model_validate(data)
    except ValidationError as error:
        wrong = [_describe(detail, root) for detail in error.errors(include_url=False)]
        raise UsageError(
            "the cluster cannot be used:\n    " + "\n    ".join(wrong),
            where=source,
            next_step="correct the fields above; `quoracy cluster schema` prints all of them",
        ) from None


def _load(text: str, source: str) -> tuple[yaml.Node, Any]:
    """The document as nodes, which know their lines, and as plain data."""
    if len(text.encode()) > MAX_BYTES:
        raise UsageError(f"the file is larger than {MAX_BYTES} bytes", where=source)
    try:
        depth = 0
        for event in yaml.parse(text, yaml.SafeLoader):
            _require_plain(event, source)
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:  # the parser's time grows with the square of it
                raise UsageError("the file is nested too deeply for a cluster", where=source)
        root = yaml.compose(text, yaml.SafeLoader)
        # ValueError: numbers, dates and characters that exist in YAML and not in Python.
        data = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UsageError(f"this is not YAML: {error}", where=source) from None
    if root is None:
        raise UsageError("the file is empty", where=source)
    _require_unique_keys(root, source)
    return root, data


def _require_plain(event: yaml.Event, source: str) -> None:
    """No anchors, aliases (they expand without bound) and tags: no cluster needs them."""
    place = _place(event.start_mark)
    if getattr(event, "anchor", None) is not None:
        raise UsageError(f"{place}: anchors and aliases are not allowed", where=source)
    if getattr(event, "tag", None) is not None:
        raise UsageError(f"{place}: tags are not allowed", where=source)


def _require_unique_keys(node: yaml.Node, source: str) -> None:
    """YAML takes the last of two equal keys without a word; here it is a mistake."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                raise UsageError(f"{_place(key.start_mark)}: {name} is given twice", where=source)
            seen.add(name)
            _require_unique_keys(value, source)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _require_unique_keys(item, source)


def _describe(detail: Any, root: yaml.Node) -> str:
    location = tuple(detail["loc"])
    field = ".".join(str(part) for part in location) or "cluster"
    message = str(detail["msg"]).removeprefix("Value error, ")
    return f"{_place(_position(root, location))}: {field}: {message}"


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}"


def _position(node: yaml.Node, location: tuple[Any, ...]) -> Any:
    """Where the field stands, or the nearest thing around it that is in the file."""
    for part in location:
        child = _child(node, part)
        if child is None:
            break
        node = child
    return node.start_mark


def _child(node: yaml.Node, part: Any) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if getattr(key, "value", None) == part:
                return value if isinstance(value, (yaml.MappingNode, yaml.SequenceNode)) else key
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        item: yaml.Node = node.value[part]
        return item
    return None
