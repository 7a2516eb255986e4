"""YAML text to spec; every error names the field, the line and the column."""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import ValidationError

from quoracy.errors import UsageError
from quoracy.spec.etcd import EtcdCluster

MAX_BYTES = 1024 * 1024


def parse_cluster(text: str, *, source: str) -> EtcdCluster:
    """Read one cluster.yaml.

    Args:
        text: The YAML document.
        source: Name of the file, for errors.

    Raises:
        UsageError: Not YAML, too large, with anchors, or not a valid cluster; it names every
            wrong field with line and column.
    """
    root = _compose(text, source)
    data = yaml.safe_load(text)
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


def _compose(text: str, source: str) -> yaml.Node:
    if len(text.encode()) > MAX_BYTES:
        raise UsageError(f"the file is larger than {MAX_BYTES} bytes", where=source)
    try:
        # Aliases can expand without bound; no cluster needs them.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise UsageError("anchors and aliases are not allowed", where=source)
        root = yaml.compose(text, yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"this is not YAML: {error}", where=source) from None
    if root is None:
        raise UsageError("the file is empty", where=source)
    return root


def _describe(detail: Any, root: yaml.Node) -> str:
    location = tuple(detail["loc"])
    field = ".".join(str(part) for part in location) or "cluster"
    mark = _position(root, location)
    message = str(detail["msg"]).removeprefix("Value error, ")
    return f"line {mark.line + 1}, column {mark.column + 1}: {field}: {message}"


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
