"""Serve every deployment of prefect.yaml from one process: what `quoracy up` starts on one machine."""

from __future__ import annotations

import importlib
from typing import Any

from prefect import serve
from prefect.deployments.runner import EntrypointType, RunnerDeployment  # type: ignore[attr-defined]
from prefect.schedules import Cron

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
        schedules=[
            Cron(one["cron"], timezone=one["timezone"], slug=one["slug"])
            for one in wanted.get("schedules", [])
        ],
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    return deployment


if __name__ == "__main__":
    bootstrap()
    # A schedule that is paused with the runner would stay paused when the runner is back.
    serve(*served_deployments(), pause_on_shutdown=False, print_starting_message=False)
