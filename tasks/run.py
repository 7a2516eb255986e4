"""What every operation's flow does besides its own work: groups, artifacts, end states, who asked."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from prefect import Flow, flow, tags
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas import State
from prefect.context import FlowRunContext, TagsContext
from prefect.exceptions import PrefectSignal
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.states import Completed, Failed

from blocks.secret import load_secret
from quoracy import errors
from quoracy.aside import CutOff
from quoracy.errors import QuoracyError, Stopped
from quoracy.login import NOTED
from quoracy.operation.lease import ENDINGS, Asked, Report
from quoracy.operation.markdown import fenced, inline, plan_markdown
from quoracy.operation.plan import Group, Plan
from quoracy.operation.subject import Subject
from quoracy.operation.terminal import user_at_hand
from quoracy.plain import one_line
from quoracy.redact import mask_secrets, redact, remembering
from quoracy.secrets import DEFAULT, Resolver

T = TypeVar("T")

# Names of the states that an operation's run ends in, besides those of Prefect.
END_NAMES = frozenset(
    {
        *ENDINGS.values(),
        *(
            name
            for name, kind in vars(errors).items()
            if isinstance(kind, type) and issubclass(kind, QuoracyError)
        ),
    }
)
# Name of the flow that runs the steps of a host, or of a batch of hosts.
HOST = "host"
# On all runs: other projects on the same server may have flows of the same names.
TAG = "quoracy"
MAX_NAME = 64
# Where runs log to: the API, and the console of whoever runs them.
LOGGERS = ("prefect", "prefect.flow_runs", "prefect.task_runs", "")


def in_run(
    place: Callable[[Callable[[], State[Any]]], Any], act: Callable[[], T], say: Callable[[T], str]
) -> T:
    """Call `act` once, as the task or subflow that `place` makes of a function; return its value.

    The run's log and its state hold what `say` makes of the value. The value goes past Prefect: it
    is neither walked through nor kept. What `act` raises is raised again here; the run ends in a
    failed state that says what happened. Only a defect has a traceback in the log, with secrets masked.

    Whether a member comes back must not depend on Prefect's API. When Prefect fails before it has
    called `act`, that is called without it; when it fails afterwards, what `act` did counts.

    Raises:
        PrefectSignal: Prefect does not want a subflow to begin (tasks begin nevertheless).
    """
    values: list[T] = []
    raised: list[BaseException] = []

    def body() -> State[Any]:
        try:
            value = act()
        except QuoracyError as error:
            raised.append(error)
            return _failed(error)
        except Exception as error:  # noqa: BLE001  a defect: raised again below
            raised.append(error)
            return _defect(error)
        except CutOff as error:
            raised.append(error)
            return Failed(name="CutOff", message="cut off")
        except BaseException as error:  # a cancellation
            raised.append(error)
            raise
        values.append(value)
        return Completed(message=redact(say(value)))

    trouble: BaseException | None = None
    run = place(body)
    try:
        run(return_state=True)
    except (Exception, PrefectSignal) as error:  # noqa: BLE001  all that Prefect itself may raise
        trouble = error
    if raised:
        raise raised[0]
    if isinstance(trouble, PrefectSignal) and isinstance(run, Flow) and not values:
        raise trouble
    if trouble:
        _warn_unrecorded(run.name, trouble)
    return values[0] if values else act()


def untagged() -> TagsContext:
    """A block in which tasks get no tags: for each tag of a task Prefect asks the server for a slot.

    That took up to two seconds in the middle of a roll, while a member was down.
    """
    return TagsContext(current_tags=set())


def enter_group(group: Group, body: Callable[[], None]) -> None:
    """Run a group as a subflow named after its host; groups over all hosts need none.

    Raises:
        Stopped: The run was suspended: nothing is half done, and resuming it goes on.
    """
    if not group.hosts:
        body()
        return

    def place(function: Callable[[], State[Any]]) -> Flow[[], State[Any]]:
        # A retried run takes up its subflows by the function's name and the call's number: by
        # this name they stay those of their hosts.
        function.__qualname__ = f"{HOST} {group.title}"
        subflow = flow(name=HOST, flow_run_name=group.title, persist_result=False, retries=0)
        return subflow(function)

    try:
        in_run(place, body, lambda _: group.title)
    except PrefectSignal as signal:
        raise Stopped(
            f"Prefect let nothing more begin: {signal or type(signal).__name__}",
            where=group.title,
            next_step="resume the run in the UI, or start the operation again",
        ) from signal


def publish_plan(plan: Plan) -> None:
    """Show the plan in the run's artifacts and log its title."""
    get_run_logger().info("plan: %s", plan.title)
    publish("plan", plan.cluster, plan_markdown(plan), plan.title)


def settled(subject: str, run: Callable[[], Report]) -> State[Any]:
    """Run an operation and end in a state that says in words what became of it.

    A QuoracyError becomes a failed state named after it, with its message: no traceback.
    """
    mask_secrets(*LOGGERS)
    ours = (TAG, Subject.parse(subject).tag)
    _tag(*ours)
    try:
        # The tags are for the subflows as well. The root run has its heartbeat
        # already; one of each subflow would cost a second at its end, and setting it takes 0.1 s.
        with tags(*ours), temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            report = run()
    except QuoracyError as error:
        name, said = type(error).__name__, str(error)
        # The description stands above the text: the first line of what may be a whole log.
        publish("result", subject, f"# {name}\n\n{fenced(said)}\n", error.what.partition("\n")[0])
        return _failed(error)
    except Exception as error:  # noqa: BLE001  Prefect would show it as it is, secrets included
        return _defect(error)
    return _told(subject, report)


def _told(subject: str, report: Report) -> State[Any]:
    """The end of an operation that did not fail, with what went wrong beside it."""
    ending = ENDINGS.get(report.outcome, report.outcome)
    notes = "".join(f"\n> {inline(note)}\n" for note in report.notes)
    told = (
        f"# {ending}\n\n{inline(report.plan.title)}\n\nOperation `{report.operation_id}`\n{notes}"
    )
    publish("result", subject, told, ending)
    message = "\n  Also: ".join((report.plan.title, *report.notes))
    return Completed(name=ending, message=redact(message), data=None)


def asked_by_prefect() -> Asked:
    """Who asked: the user at the terminal, or else whom the server has noted on the run.

    Never a tag, a parameter or the run's name: whoever starts a run may set those.
    """
    run_id, machine, user = flow_run.id, socket.gethostname(), user_at_hand()
    if user is not None:
        return Asked(by=user, origin=f"terminal, prefect on {machine}", flow_run_id=run_id)
    return Asked(by=_noted(), origin=f"prefect on {machine}", flow_run_id=run_id)


def _noted() -> str:
    """Whom the server has noted; one that `quoracy up` has not started notes nobody."""
    context = FlowRunContext.get()
    noted = context.flow_run.created_by if context and context.flow_run else None
    if noted is None or not noted.display_value:
        return "prefect"
    name = one_line(noted.display_value)[:MAX_NAME]
    return name if noted.type == NOTED else f"{noted.type or 'prefect'}: {name}".lower()


def secret_resolvers() -> Mapping[str, Resolver]:
    """How references to secrets are resolved inside flows: `block:` as well, and logs mask them."""
    resolvers = {**DEFAULT, "block": load_secret}
    return {scheme: remembering(resolver) for scheme, resolver in resolvers.items()}


@contextmanager
def for_the_record(what: str) -> Iterator[None]:
    """Tell Prefect something that the operation does not depend on."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  its API may be away, in many ways
        _warn_unrecorded(what, error)


def _failed(error: QuoracyError) -> State[Any]:
    return Failed(name=type(error).__name__, message=redact(str(error)))


def _defect(error: Exception) -> State[Any]:
    """A failed state for what should not happen; Prefect's own holds the text and log unmasked."""
    get_run_logger().error("Encountered an exception", exc_info=error)
    return Failed(message=redact(f"{type(error).__name__}: {error}"))


def publish(kind: str, subject: str, markdown: str, description: str) -> None:
    """Show something in the run's artifacts, under a key of its kind and what it is about."""
    # What was given as a name may be anything; keys are a-z, 0-9 and dashes.
    key = re.sub(r"[^a-z0-9]+", "-", f"{kind}-{subject}".lower()).strip("-")
    with for_the_record(key):
        create_markdown_artifact(redact(markdown), key=key, description=inline(redact(description)))


def _tag(*ours: str) -> None:
    """Let the run be found as ours and by cluster, wherever it was started from."""
    if not {*ours} <= {*flow_run.tags}:
        with for_the_record(", ".join(ours)), get_client(sync_client=True) as client:
            client.update_flow_run(flow_run.id, tags=sorted({*flow_run.tags, *ours}))


def _warn_unrecorded(what: str, trouble: BaseException) -> None:
    said = redact(str(trouble).partition("\n")[0]) or type(trouble).__name__
    get_run_logger().warning("%s is not recorded at the Prefect server: %s", what, said)
