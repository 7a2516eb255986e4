"""The automation that ends runs whose process is gone: Prefect itself leaves them Running for ever.

It needs runs that send a heartbeat more often than it waits for one: `quoracy up` sets
PREFECT_FLOWS_HEARTBEAT_FREQUENCY to 30 s, Prefect's own default is 180 s.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from prefect.automations import AutomationCore, EventTrigger, Posture
from prefect.client.orchestration import get_client
from prefect.client.schemas import StateType
from prefect.events.actions import ChangeFlowRunState

from tasks.run import END_NAMES

NAME = "quoracy: runs without a heartbeat"
SILENT = timedelta(seconds=90)
_HEARTBEAT = "prefect.flow-run.heartbeat"
# A suspended run has no process; it is started again when it is resumed.
_NO_PROCESS = {"Completed", "Failed", "Crashed", "Cancelled", "TimedOut", "Suspended"}


def zombie_automation(flows: Iterable[str], *, silent: timedelta = SILENT) -> AutomationCore:
    """After a heartbeat, neither another one nor an end in time: Crashed.

    Only for these flows: others on the same server may beat less often. Members' subflows beat not
    at all; `reconcile` ends those that a crashed run leaves behind.
    """
    ends = {f"prefect.flow-run.{name}" for name in (*_NO_PROCESS, *END_NAMES)}
    return AutomationCore(
        name=NAME,
        description="The process of a run is gone: the run is ended as Crashed.",
        trigger=EventTrigger(
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related={
                "prefect.resource.role": "flow",
                "prefect.resource.name": sorted(flows),
            },
            for_each={"prefect.resource.id"},
            after={_HEARTBEAT},
            expect={_HEARTBEAT, *ends},
            posture=Posture.Proactive,
            threshold=1,
            within=silent,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                message=f"No heartbeat for {silent.total_seconds():.0f} s: its process is gone. "
                "Retry the run, or start the operation again.",
            )
        ],
    )


def keep_automation(automation: AutomationCore) -> None:
    """Create the automation, or bring the one of its name to what is wanted."""
    with get_client(sync_client=True) as client:
        found = client.read_automations_by_name(automation.name)
        if not found:
            client.create_automation(automation)
        for one in found[:1]:
            client.update_automation(one.id, automation)
        for one in found[1:]:
            client.delete_automation(one.id)
