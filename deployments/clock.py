"""Starts runs of a served deployment at an interval, from the process that serves it.

Prefect's own scheduler does not work here: in Prefect 3.8.8 with SQLAlchemy 2.1.9 its insert of
scheduled runs fails ("Can't evaluate bulk DML statement", server/models/deployments.py). Nor would it
be better for this: what was missed while no runner was there needs not be made up for.
"""

from __future__ import annotations

import contextvars
import threading
from datetime import timedelta
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.logging import get_logger


def start_clock(deployment: str, every: timedelta, stop: threading.Event) -> threading.Thread:
    """Start a run of the deployment (`flow/name`) at each interval, until it is stopped."""

    def tick() -> None:
        while not stop.wait(every.total_seconds()):
            try:
                start_run(deployment)
            except Exception as error:  # noqa: BLE001  the API may be away, in many ways
                get_logger("quoracy").warning("no run of %s this time: %s", deployment, error)

    # In the caller's context, which may say where the server is.
    run = contextvars.copy_context().run
    thread = threading.Thread(target=run, args=(tick,), name=f"clock {deployment}", daemon=True)
    thread.start()
    return thread


def start_run(deployment: str) -> UUID:
    """Ask the server for a run of the deployment, now."""
    with get_client(sync_client=True) as client:
        found = client.read_deployment_by_name(deployment)
        return client.create_flow_run_from_deployment(found.id).id
