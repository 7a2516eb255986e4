"""Serve every deployment of prefect.yaml from one process: what `quoracy up` starts on one machine."""

from __future__ import annotations

import importlib
from typing import Any

from prefect import serve
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.deployments.runner import EntrypointType, RunnerDeployment  # type: ignore[attr-defined]

from deployments.bootstrap import bootstrap
from deployments.project import wanted_deployments


def served_deployments() -> list[RunnerDeployment]:
    """The deployments of prefect.yaml, for the runner instead of a work pool."""
    return [_deployment(wanted) for wanted in wanted_deployments()]


def _deployment(wanted: dict[str, Any]) -> RunnerDeployment:
    module, _, name = wanted["entrypoint"].rpartition(".")
    flow = getattr(importlib.import_module(module), name)
    deployment: RunnerDeployment = flow.to_deployment(
        name=wanted["name"],
        description=wanted["description"],
        tags=wanted["tags"],
        parameters=wanted.get("parameters", {}),
        interval=[schedule["interval"] for schedule in wanted.get("schedules", [])] or None,
        concurrency_limit=_limit(wanted),
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    return deployment


def _limit(wanted: dict[str, Any]) -> ConcurrencyLimitConfig | None:
    """What was missed while no runner was there needs not be made up for all at once."""
    limit = wanted.get("concurrency_limit")
    return ConcurrencyLimitConfig(**limit) if limit else None


if __name__ == "__main__":
    bootstrap()
    serve(*served_deployments(), print_starting_message=False)
