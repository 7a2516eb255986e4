"""What every operation does around its own work, in runs of a real Prefect server."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas import State
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from quoracy.errors import CommandFailed, QuoracyError, Refused, RolledBack, UsageError
from quoracy.operation.lease import Asked, Report
from quoracy.operation.plan import Group, Plan
from quoracy.operation.terminal import started_by
from quoracy.redact import MASK
from tasks.run import (
    TAG,
    asked_by_prefect,
    enter_group,
    in_run,
    publish_plan,
    secret_resolvers,
    settled,
)
from tests.prefect_harness import artifacts, ask, logs_of, run_of, task_runs_of

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]

PLAN = Plan("etcd-deploy", "demo", "change", "change demo, 3 members one by one")
KEY_BODY = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg"
KEY = f"-----BEGIN PRIVATE KEY-----\n{KEY_BODY}\n-----END PRIVATE KEY-----"


def operation(run: Callable[[], Report], cluster: str = "demo") -> State[Any]:
    """Run a flow that does nothing but this, and return its end."""

    @flow(name="operation", persist_result=False)
    def body() -> State[Any]:
        return settled(cluster, run)

    state: State[Any] = body(return_state=True)
    return state


def artifact(key: str) -> str:
    return artifacts(key=[key])[key]


@pytest.mark.parametrize(
    ("outcome", "name"),
    [("done", "Done"), ("nothing_to_do", "Nothing to do"), ("dry_run", "Changes pending")],
)
def test_a_good_end_is_named_by_what_became_of_it(outcome: Any, name: str) -> None:
    state = operation(lambda: Report("0123abcd", outcome, PLAN))
    assert (state.name, state.message, state.is_completed()) == (name, PLAN.title, True)
    assert run_of(state).state_name == name
    assert run_of(state).tags == ["cluster:demo", TAG]
    assert artifact("result-demo").startswith(f"# {name}\n\n{PLAN.title}")


@pytest.mark.parametrize("kind", [UsageError, Refused, RolledBack, QuoracyError])
def test_a_bad_end_is_named_after_its_error_and_says_what_to_do(kind: type[QuoracyError]) -> None:
    def fail() -> Report:
        raise kind("the disk is full", where="demo-2", next_step="free some space")

    state = operation(fail)
    assert (state.name, state.is_failed()) == (kind.__name__, True)
    assert state.message == "demo-2: the disk is full\n  Next: free some space"
    assert "free some space" in artifact("result-demo")
    lines = logs_of(run_of(state).id, until="Finished in state")
    assert "Traceback" not in "".join(lines)


def test_the_last_words_of_a_service_stand_in_the_result_once() -> None:
    def fail() -> Report:
        raise RolledBack("not healthy\n    no database", where="web-1", next_step="look there")

    operation(fail)
    wanted = {"key": {"any_": ["result-demo"]}}
    newest = ask("/artifacts/filter", artifacts=wanted, sort="CREATED_DESC")[0]
    assert newest["description"] == "not healthy"
    assert newest["data"].count("no database") == 1


def test_a_defect_of_ours_is_not_dressed_up() -> None:
    def crash() -> Report:
        raise ZeroDivisionError("a defect")

    state = operation(crash)
    assert (state.name, state.message) == ("Failed", "ZeroDivisionError: a defect")
    assert "Traceback" in "".join(logs_of(run_of(state).id, until="Finished in state"))


def test_a_cluster_name_that_is_no_artifact_key_is_no_traceback() -> None:
    def fail() -> Report:
        raise UsageError("there is no cluster 'Not A Name!'")

    assert operation(fail, cluster="Not A Name!").name == "UsageError"
    assert "Not A Name!" in artifact("result-not-a-name")


def test_what_went_wrong_beside_it_is_told() -> None:
    state = operation(lambda: Report("0123abcd", "done", PLAN, ("two beats were missed",)))
    assert (state.name, state.message) == ("Done", f"{PLAN.title}\n  Also: two beats were missed")
    assert "> two beats were missed" in artifact("result-demo")


@pytest.mark.parametrize("deep", [True, False])
def test_secrets_of_a_defect_are_masked(deep: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUORACY_TEST_BUCKET", "s3cr3t-of-the-bucket")

    def leak() -> Report:
        secret_resolvers()["env"]("QUORACY_TEST_BUCKET")
        return in_run(task(name="leak", cache_policy=NO_CACHE), fail, str) if deep else fail()

    def fail() -> Report:
        raise ValueError(f"refused {KEY} of s3cr3t-of-the-bucket")

    state = operation(leak)
    told = "\n".join(logs_of(run_of(state).id, until="Finished in state"))
    told += str(task_runs_of(run_of(state).id, int(deep)))
    assert (state.is_failed(), state.message) == (True, f"ValueError: refused {MASK} of {MASK}")
    assert "Traceback" in told
    assert KEY_BODY not in told
    assert "s3cr3t" not in told


def test_secrets_are_neither_in_logs_nor_states_nor_artifacts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("QUORACY_TEST_BUCKET", "s3cr3t-of-the-bucket")

    def leak() -> Report:
        secret = secret_resolvers()["env"]("QUORACY_TEST_BUCKET")
        get_run_logger().warning("a script said: %s and %s", KEY, secret)
        return in_run(task(name="leak", cache_policy=NO_CACHE), lambda: fail(secret), str)

    def fail(secret: str) -> Report:
        get_run_logger().warning("in a task: %s %s", KEY, secret)
        raise CommandFailed("start", where="demo-1", exit_code_remote=1, stderr=f"{KEY} {secret}")

    state = operation(leak)
    told = "\n".join(logs_of(run_of(state).id, until="Finished in state CommandFailed"))
    told += str(task_runs_of(run_of(state).id, 1))
    told += f"{state.message} {artifact('result-demo')}"
    assert f"a script said: {MASK} and {MASK}" in told
    assert f"in a task: {MASK} {MASK}" in told
    assert KEY_BODY not in told
    assert "s3cr3t" not in told


def test_a_failing_task_acts_once_and_tells_its_error_without_a_traceback() -> None:
    acted: list[str] = []

    def act() -> None:
        acted.append("acted")
        raise Refused("no", where="demo-1")

    def run() -> Report:
        in_run(task(name="step", task_run_name="demo-1: stop", cache_policy=NO_CACHE), act, str)
        raise AssertionError("the error was lost")

    state = operation(run)
    assert acted == ["acted"]
    assert state.name == "Refused"
    (told,) = task_runs_of(run_of(state).id, 1)
    assert (told["name"], told["state_name"], told["run_count"]) == ("demo-1: stop", "Refused", 1)
    assert "Traceback" not in "".join(logs_of(run_of(state).id, until="Finished in state"))


def test_the_same_question_is_asked_again_never_answered_from_a_cache() -> None:
    answers = iter(["first", "second"])

    def run() -> Report:
        ask = task(name="ask", cache_policy=NO_CACHE, persist_result=False)
        assert [in_run(ask, lambda: next(answers), str) for _ in range(2)] == ["first", "second"]
        return Report("0123abcd", "done", PLAN)

    state = operation(run)
    states = [told["state_name"] for told in task_runs_of(run_of(state).id, 2)]
    assert states == ["Completed", "Completed"]


def test_a_member_is_a_subflow_with_its_name_and_the_clusters_tag() -> None:
    def run() -> Report:
        enter_group(Group("demo-2", ("demo-2",), ()), lambda: None)
        enter_group(Group("prepare hosts", (), ()), lambda: None)
        with pytest.raises(RolledBack):
            enter_group(Group("demo-3", ("demo-3",), ()), roll_back)
        return Report("0123abcd", "done", PLAN)

    def roll_back() -> None:
        raise RolledBack("the member did not start; it was put back", where="demo-3")

    state = operation(run)
    parent = {"parent_flow_run_id": {"any_": [str(run_of(state).id)]}}
    found = ask("/flow_runs/filter", flow_runs=parent)
    members = {one["name"]: (one["state_name"], sorted(one["tags"])) for one in found}
    assert members == {
        "demo-2": ("Completed", ["cluster:demo", TAG]),
        "demo-3": ("RolledBack", ["cluster:demo", TAG]),
    }


def test_the_plan_is_an_artifact_of_the_run() -> None:
    def run() -> Report:
        publish_plan(PLAN)
        return Report("0123abcd", "done", PLAN)

    state = operation(run)
    assert artifact("plan-demo").startswith(f"# {PLAN.title}")
    assert f"plan: {PLAN.title}" in logs_of(run_of(state).id, until="Finished in state")


@pytest.mark.parametrize(
    ("user", "by", "origin"),
    [("ada", "ada", "terminal, prefect on "), (None, "prefect", "prefect on ")],
)
def test_who_asked_is_the_terminals_user_and_never_what_a_tag_says(
    user: str | None, by: str, origin: str
) -> None:
    from prefect import tags as tagged

    told: list[tuple[Asked, str]] = []

    @flow(name="asking")
    def ask() -> None:
        told.append((asked_by_prefect(), flow_run.id))

    with tagged("by:mallory"), started_by(user) if user else nullcontext():
        ask()
    ((asked, run_id),) = told
    assert asked.flow_run_id == run_id
    assert asked.origin.startswith(origin)
    assert asked.by == by
