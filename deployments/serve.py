"""Serve every deployment of prefect.yaml from one process: what `quoracy up` starts on one machine."""

from __future__ import annotations

import importlib
import threading
from datetime import timedelta
from typing import Any

from prefect import serve
from prefect.deployments.runner import EntrypointType, RunnerDeployment  # type: ignore[attr-defined]

from deployments.bootstrap import bootstrap
from deployments.clock import start_clock
from deployments.project import flow_name, wanted_deployments


def served_deployments() -> list[RunnerDeployment]:
    """The deployments of prefect.yaml, for the runner instead of a work pool."""
    return [_deployment(wanted) for wanted in wanted_deployments()]


def scheduled() -> list[tuple[str, timedelta]]:
    """The deployments with a schedule, as `flow/name`, and their intervals."""
    return [
        (f"{flow_name(wanted)}/{wanted['name']}", timedelta(seconds=schedule["interval"]))
        for wanted in wanted_deployments()
        for schedule in wanted.get("schedules", [])
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
    for deployment, every in scheduled():
        start_clock(deployment, every, threading.Event())
    serve(*served_deployments(), print_starting_message=False)
