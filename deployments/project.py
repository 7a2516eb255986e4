"""What prefect.yaml says: the deployments, and the flows that they run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

PREFECT_YAML = Path(__file__).parent.parent / "prefect.yaml"


def wanted_deployments() -> list[dict[str, Any]]:
    """The deployments as they are written there."""
    wanted: list[dict[str, Any]] = yaml.safe_load(PREFECT_YAML.read_text())["deployments"]
    return wanted


def flow_name(wanted: dict[str, Any]) -> str:
    """Name of the flow that a deployment runs: that of its function, with dashes."""
    function: str = wanted["entrypoint"].rpartition(".")[2]
    return function.replace("_", "-")


def flow_names() -> list[str]:
    """Names of the flows that they run."""
    return sorted({flow_name(wanted) for wanted in wanted_deployments()})
