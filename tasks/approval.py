"""The question after the first member, asked in the Prefect UI: the run pauses, its process stays."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas import State
from prefect.client.schemas.responses import SetStateStatus
from prefect.input import Keyset, RunInput, keyset_from_paused_state
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.states import Paused, Running
from pydantic import Field

from quoracy.errors import NotApproved
from quoracy.operation.approval import Approval
from quoracy.operation.markdown import inline
from quoracy.plain import one_line
from quoracy.redact import redact
from tasks.run import MAX_NAME, for_the_record

WAIT = timedelta(hours=1)
POLL_S = 2
# The server ends a pause of its own accord in words of its own: it must not come first.
_SLACK = timedelta(minutes=5)
_NEXT = "run it again to go on from here; with the option `approved` nobody is asked"


class Answer(RunInput):
    """What the run's dialog asks for; `approve` has no default, so that nobody approves by a slip."""

    approve: bool = Field(title="Approve", description="Go on with the members that are left.")
    approver: str = Field("", title="Approver", description="Your name, for the log.")


def approve_in_ui(approval: Approval, *, wait: timedelta = WAIT) -> None:
    """Show the first member's figures in the run's dialog and wait for an answer; the lease beats on.

    Raises:
        NotApproved: It was declined, nobody answered in time, the run was cancelled or ended
            meanwhile, or the server could not be asked.
    """
    form = Answer.with_initial_data(description=_question(approval))
    try:
        with get_client(sync_client=True) as client:
            keys = _pause(client, form, wait)
            state = _end_of_pause(client, wait)
            answer = _load(form, keys) if state.is_running() else None
            if state.is_paused():
                _leave_pause(client)
    except Exception as error:  # between two members, so stopping leaves nothing half done
        said = redact(str(error).partition("\n")[0]) or type(error).__name__
        raise _not_approved(approval, f"Prefect could not be asked: {said}") from error
    if answer is None:
        why = f"nobody answered within {wait}" if state.is_paused() else f"the run is {state.name}"
        raise _not_approved(approval, why)
    by = one_line(answer.approver)[:MAX_NAME] or "someone who gave no name"
    if not answer.approve:
        raise _not_approved(approval, f"declined by {by}")
    get_run_logger().info("approved by %s; next: %s", by, ", ".join(approval.left))


def _question(approval: Approval) -> str:
    return (
        f"**{inline(approval.title)}**\n\n{inline(approval.done)} is done:\n\n{approval.figures}\n\n"
        f"Left: {inline(', '.join(approval.left))}. To go on, set *Approve* and submit; "
        "submitting without it stops the operation here, and nothing is half done."
    )


def _pause(client: SyncPrefectClient, form: type[Answer], wait: timedelta) -> Keyset:
    """Show the dialog. Not by `pause_flow_run`: that one does not notice that the run was ended."""
    state: State[Any] = Paused(
        timeout_seconds=int((wait + _SLACK).total_seconds()),
        pause_key=f"approve-{flow_run.run_count}",  # a retried run asks anew
    )
    keys = keyset_from_paused_state(state)
    state.state_details.run_input_keyset = {str(part): key for part, key in keys.items()}
    answer = client.set_flow_run_state(UUID(flow_run.id), state)
    if answer.status is not SetStateStatus.ACCEPT:
        raise RuntimeError(f"it did not pause the run: {answer.details}")
    form.save(keys)
    get_run_logger().info("waiting for an approval: use Resume on the run's page")
    return keys


def _end_of_pause(client: SyncPrefectClient, wait: timedelta) -> State[Any]:
    """The first state other than a pause; the pause when the time is over."""
    deadline = time.monotonic() + wait.total_seconds()
    while True:
        state = client.read_flow_run(UUID(flow_run.id)).state
        if state is not None and not state.is_paused():
            return state
        left = deadline - time.monotonic()
        if state is not None and left <= 0:
            return state
        time.sleep(max(0, min(POLL_S, left)))


def _load(form: type[Answer], keys: Keyset) -> Answer:
    loaded = form.load(keys)
    assert isinstance(loaded, Answer)
    return loaded


def _leave_pause(client: SyncPrefectClient) -> None:
    """Let the run end as we say. Not by force: it may be cancelled at this moment."""
    with for_the_record("the end of the pause"):
        client.set_flow_run_state(UUID(flow_run.id), Running())


def _not_approved(approval: Approval, why: str) -> NotApproved:
    left = ", ".join(approval.left)
    return NotApproved(f"{why}; left as they were: {left}", where=approval.cluster, next_step=_NEXT)
