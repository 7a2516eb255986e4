"""Prefect's API goes away, or Prefect wants a run to stop, in the middle of an operation's work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas import State
from prefect.context import FlowRunContext
from prefect.events.worker import EventsWorker
from prefect.exceptions import Pause, TerminationSignal
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Completed, Suspended

from quoracy.aside import CutOff
from quoracy.errors import RolledBack, Stopped
from quoracy.operation.plan import Group, Plan
from tasks.run import enter_group, in_run, publish_plan
from tests.tasks.api_relay import ApiRelay

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]
MEMBER = Group("demo-2", ("demo-2",), ())


@pytest.fixture
def api(prefect_server: None) -> Iterator[ApiRelay]:
    """A way to the server that can be cut."""
    relay = ApiRelay(urlsplit(PREFECT_API_URL.value()).port)
    url = f"http://127.0.0.1:{relay.port}/api"
    with temporary_settings({PREFECT_API_URL: url}):
        yield relay
    EventsWorker.drain_all()  # else it tries to reach the relay until the session ends
    relay.close()


@contextmanager
def away(api: ApiRelay) -> Iterator[None]:
    """Within the block nobody answers, and Prefect does not repeat itself for a minute."""
    with api.away(), temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        yield


def step(act: Callable[[], str]) -> str:
    """One step of a member, as `tasks.etcd` takes it."""
    take = task(name="step", cache_policy=NO_CACHE, persist_result=False, retries=0)
    return in_run(take, act, str)


def noting(acted: list[str], what: str) -> Callable[[], str]:
    """What a step does: it is put into the list."""

    def act() -> str:
        acted.append(what)
        return what

    return act


def operation(body: Callable[[], None]) -> State[Any]:
    """A root run that does nothing but this."""

    @flow(name="operation", persist_result=False)
    def run() -> State[Any]:
        body()
        return Completed()

    state: State[Any] = run(return_state=True)
    return state


def test_a_member_is_entered_and_its_steps_act_while_the_api_is_away(api: ApiRelay) -> None:
    acted: list[str] = []

    def member() -> None:
        said = [step(noting(acted, what)) for what in ("stop", "start")]
        assert said == ["stop", "start"]

    def body() -> None:
        with away(api):
            publish_plan(Plan("etcd-deploy", "demo", "change", "change demo"))
            enter_group(MEMBER, member)

    assert operation(body).is_completed()
    assert acted == ["stop", "start"]


def test_the_api_goes_away_while_a_member_is_down_and_its_steps_act_once(api: ApiRelay) -> None:
    acted: list[str] = []
    gone = ExitStack()

    def member() -> None:
        step(noting(acted, "stop"))
        gone.enter_context(away(api))
        step(noting(acted, "start"))

    def body() -> None:
        with gone:
            enter_group(MEMBER, member)

    assert operation(body).is_completed()
    assert acted == ["stop", "start"]


def test_what_became_of_a_member_is_told_although_the_api_cannot_be(api: ApiRelay) -> None:
    gone = ExitStack()

    def member() -> None:
        gone.enter_context(away(api))
        raise RolledBack("it did not start; it was put back", where="demo-2")

    def body() -> None:
        with gone, pytest.raises(RolledBack, match="it was put back"):
            enter_group(MEMBER, member)

    assert operation(body).is_completed()


@pytest.mark.usefixtures("api")
def test_a_cancellation_in_a_step_reaches_the_loop_as_it_is() -> None:
    def cancelled() -> str:
        raise TerminationSignal(signal=15)

    def cut_off() -> str:
        raise CutOff

    def body() -> None:
        with pytest.raises(TerminationSignal):
            step(cancelled)
        with pytest.raises(CutOff):
            step(cut_off)
        # Putting back begins after it.
        assert step(lambda: "start") == "start"

    assert operation(body).is_completed()


@pytest.mark.usefixtures("api")
def test_a_suspended_run_finishes_its_member_and_begins_no_other() -> None:
    def suspend_and_go_on() -> None:
        context = FlowRunContext.get()
        assert context is not None
        context.flow_run_suspension_request.mark_requested(Suspended())
        assert step(lambda: "start") == "start"

    told: list[str] = []

    def body() -> None:
        enter_group(MEMBER, suspend_and_go_on)
        with pytest.raises(Stopped, match="let nothing more begin") as caught:
            enter_group(Group("demo-3", ("demo-3",), ()), lambda: told.append("begun"))
        told.append(caught.value.next_step)

    with pytest.raises(Pause):  # so Prefect ends the run as Suspended, whatever it returns
        operation(body)
    assert told == ["resume the run in the UI, or start the operation again"]
