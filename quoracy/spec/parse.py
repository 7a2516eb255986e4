"""YAML text to spec; every error names the field, the line and the column."""

from __future__ import annotations

from quoracy.spec.document import CLUSTER, MAX_BYTES, load, too_large
from quoracy.spec.etcd import EtcdCluster
from quoracy.spec.mistakes import mistakes, validated
from quoracy.spec.parse_service import ParsedService, parse_service

__all__ = [
    "MAX_BYTES",
    "ParsedService",
    "parse_cluster",
    "parse_service",
    "too_large",
]


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
    document = load(text, source, CLUSTER)
    return validated(
        EtcdCluster, document.data, home, lambda found: mistakes(found, document, source, CLUSTER)
    )
