"""The question after the first member, asked in the Prefect UI: the run pauses, its process stays."""

from __future__ import annotations

from datetime import timedelta

from prefect import pause_flow_run
from prefect.client.orchestration import get_client
from prefect.exceptions import FlowPauseTimeout
from prefect.input import RunInput
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.states import Running
from pydantic import Field

from quoracy.errors import NotApproved
from quoracy.operate.approval import Approval
from quoracy.redact import redact
from tasks.run import for_the_record

WAIT = timedelta(hours=1)
POLL_S = 2
_NEXT = "run it again to go on from here; with the option `approved` nobody is asked"


class Answer(RunInput):
    """What the run's dialog asks for; `approve` has no default, so that nobody approves by a slip."""

    approve: bool = Field(title="Approve", description="Go on with the members that are left.")
    approver: str = Field("", title="Approver", description="Your name, for the log.")


def approve_in_ui(approval: Approval, *, wait: timedelta = WAIT) -> None:
    """Show the first member's figures in the run's dialog and wait for an answer; the lease beats on.

    Raises:
        NotApproved: It was declined, nobody answered in time, or the server could not be asked.
    """
    form = Answer.with_initial_data(description=_question(approval))
    try:
        answer = pause_flow_run(
            wait_for_input=form,
            timeout=int(wait.total_seconds()),
            poll_interval=POLL_S,
            key=f"approve-{flow_run.run_count}",  # a retried run asks anew
        )
    except FlowPauseTimeout:
        _leave_pause()
        raise _not_approved(approval, f"nobody answered within {wait}") from None
    except Exception as error:  # between two members, so stopping leaves nothing half done
        said = redact(str(error).partition("\n")[0]) or type(error).__name__
        raise _not_approved(approval, f"Prefect could not be asked: {said}") from error
    by = answer.approver.strip() or "someone who gave no name"
    if not answer.approve:
        raise _not_approved(approval, f"declined by {by}")
    get_run_logger().info("approved by %s; next: %s", by, ", ".join(approval.left))


def _question(approval: Approval) -> str:
    return (
        f"**{approval.title}**\n\n{approval.done} is done:\n\n{approval.figures}\n\n"
        f"Left: {', '.join(approval.left)}. To go on, set *Approve* and submit; "
        "submitting without it stops the operation here, and nothing is half done."
    )


def _leave_pause() -> None:
    """Let the run end as we say: the server ends an expired pause in words of its own."""
    with for_the_record("the end of the pause"), get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run.id, Running(), force=True)


def _not_approved(approval: Approval, why: str) -> NotApproved:
    left = ", ".join(approval.left)
    return NotApproved(f"{why}; left as they were: {left}", where=approval.cluster, next_step=_NEXT)
