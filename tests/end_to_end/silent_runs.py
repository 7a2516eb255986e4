"""Runs that have sent heartbeats and then fall silent, with the automation that watches for it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from deployments.automations import keep_automation, zombie_automation
from quoracy.login import server_login
from tests.end_to_end.prefect_site import PrefectSite

WATCHED, OTHER = "silent", "another"
BEATS = 4


def fall_silent(up: PrefectSite) -> dict[str, str]:
    """IDs of runs by what became of them: `gone`, `done`, and `other`, of a flow that is not watched.

    The automation is the product's own but for its name, its flow, and how long it waits.
    """
    short = zombie_automation([WATCHED], silent=timedelta(seconds=10))
    login = server_login(up.site.home)
    with temporary_settings({PREFECT_API_URL: f"{up.url}/api", PREFECT_API_AUTH_STRING: login}):
        keep_automation(short.model_copy(update={"name": "short"}))
    runs = {"gone": WATCHED, "done": WATCHED, "other": OTHER}
    flows = {name: up.ask("/flows/", name=name)["id"] for name in set(runs.values())}
    running = {"type": "RUNNING", "name": "Running"}
    ids = {
        what: up.ask("/flow_runs/", flow_id=flows[name], state=running)["id"]
        for what, name in runs.items()
    }
    for _ in range(BEATS):  # the automation may be loaded a moment after it was made
        up.send([_heartbeat(ids[what], flows[name], name) for what, name in runs.items()])
        time.sleep(0.5)
    up.set_state(ids["done"], "COMPLETED", "Nothing to do")
    return ids


def _heartbeat(run_id: str, flow_id: str, flow: str) -> dict[str, object]:
    """The event that Prefect's engine sends (flow_engine.py, _build_heartbeat_event_template)."""
    return {
        "id": str(uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": "prefect.flow-run.heartbeat",
        "resource": {"prefect.resource.id": f"prefect.flow-run.{run_id}"},
        "related": [
            {
                "prefect.resource.id": f"prefect.flow.{flow_id}",
                "prefect.resource.role": "flow",
                "prefect.resource.name": flow,
            }
        ],
    }
