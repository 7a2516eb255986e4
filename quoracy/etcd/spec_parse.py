"""YAML text to spec; every error names the field, the line and the column."""

from __future__ import annotations

from quoracy.etcd.spec import EtcdCluster
from quoracy.specs.document import CLUSTER, load
from quoracy.specs.mistakes import mistakes, validated


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
