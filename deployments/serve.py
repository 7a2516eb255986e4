"""Serve every deployment of prefect.yaml from one process: what `quoracy up` starts on one machine."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import yaml
from prefect import serve
from prefect.deployments.runner import EntrypointType, RunnerDeployment  # type: ignore[attr-defined]

from deployments.bootstrap import bootstrap

PREFECT_YAML = Path(__file__).parent.parent / "prefect.yaml"


def served_deployments() -> list[RunnerDeployment]:
    """The deployments of prefect.yaml, for the runner instead of a work pool."""
    return [
        _deployment(wanted) for wanted in yaml.safe_load(PREFECT_YAML.read_text())["deployments"]
    ]


def _deployment(wanted: dict[str, Any]) -> RunnerDeployment:
    module, _, name = wanted["entrypoint"].rpartition(".")
    flow = getattr(importlib.import_module(module), name)
    deployment: RunnerDeployment = flow.to_deployment(
        name=wanted["name"],
        description=wanted["description"],
        tags=wanted["tags"],
        parameters=wanted.get("parameters", {}),
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    return deployment


if __name__ == "__main__":
    bootstrap()
    serve(*served_deployments(), print_starting_message=False)
