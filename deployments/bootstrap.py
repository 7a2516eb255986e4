"""Register with the server what the flows need besides deployments; may run any number of times."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client

from blocks.secret import QuoracySecret
from deployments.automations import keep_automation, zombie_automation
from deployments.project import flow_names, wanted_deployments


def bootstrap() -> None:
    """Register block types, to be filled in in the UI, and the automation that ends dead runs.

    Runs that were missed while nobody served are dropped.
    """
    QuoracySecret.register_type_and_schema()
    keep_automation(zombie_automation(flow_names()))
    drop_missed_runs()


def drop_missed_runs() -> int:
    """Delete scheduled runs whose time has passed unserved, and return how many.

    Housekeeping need not be made up for: after a night without a runner a hundred would start.
    """
    scheduled = [wanted["name"] for wanted in wanted_deployments() if "schedules" in wanted]
    missed = {
        "deployments": {"name": {"any_": scheduled}},
        "flow_runs": {
            "state": {"type": {"any_": ["SCHEDULED"]}},
            "expected_start_time": {"before_": datetime.now(UTC).isoformat()},
        },
    }
    path: Any = "/flow_runs/filter"
    with get_client(sync_client=True) as client:
        found = client.request("POST", path, json=missed).json()
        # One that somebody asked for stays.
        runs = [UUID(run["id"]) for run in found if run["auto_scheduled"]]
        for run in runs:
            client.delete_flow_run(run)
    return len(runs)


if __name__ == "__main__":
    bootstrap()
