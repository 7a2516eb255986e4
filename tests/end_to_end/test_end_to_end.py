"""Runs as processes of a real runner: killed, cancelled, retried, paused, and without their server.

They share a server and a cluster, of which each test changes a setting: the next roll takes up what
the one before has left.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from quoracy.prefect.up import RUNNER, SERVER
from tests.end_to_end.prefect_site import PrefectSite, wait_for
from tests.end_to_end.silent_runs import fall_silent
from tests.judges.watch import overlaps

pytestmark = [
    pytest.mark.lab,
    pytest.mark.prefect,
    # Services outlive the process that starts them, which Python takes for forgetfulness.
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]
AWAY_S = 20  # and ten more until the server is up again


@pytest.fixture(autouse=True)
def one_at_a_time(up: PrefectSite) -> Iterator[None]:
    """Whatever happens: all members are up in the end, and no two were down together."""
    watch = up.site.watch
    since = watch.now_us()
    yield
    assert overlaps(watch.down_intervals(since)) == ()
    up.site.require_healthy()


@pytest.fixture(scope="module")
def silent(up: PrefectSite) -> dict[str, str]:
    """Runs that fall silent before the first test, and have been for ten seconds after it."""
    return fall_silent(up)


@pytest.mark.usefixtures("silent")
def test_a_killed_run_is_crashed_and_its_retry_goes_on(up: PrefectSite) -> None:
    up.change(60)
    run = up.start(cluster="flows")
    stop = up.stops(2, run)
    os.kill(up.process(), signal.SIGKILL)
    assert up.ended(run)["state_type"] == "CRASHED"
    up.retry(run)
    ended = up.ended(run)
    assert (ended["state_name"], ended["run_count"]) == ("Done", 2), ended["state"]
    second, first = up.operations(run)
    assert (first.outcome, second.outcome) == ("failed", "done")
    # The member that was cut off has one subflow still, which ended after all.
    assert up.children(run)[stop.host] == ["COMPLETED"]


def test_a_run_without_a_heartbeat_is_crashed_by_the_automation(
    up: PrefectSite, silent: dict[str, str]
) -> None:
    gone = up.in_state(silent["gone"], "CRASHED")
    assert gone["state"]["message"].startswith("No heartbeat for 10 s: its process is gone.")
    others = {what: up.run(silent[what])["state_name"] for what in ("done", "other")}
    assert others == {"done": "Nothing to do", "other": "Running"}
    up.set_state(silent["other"], "COMPLETED", "Completed")


def test_a_cancelled_run_puts_its_member_back_before_it_ends(up: PrefectSite) -> None:
    up.change(65)
    run = up.start(cluster="flows")
    up.stops(2, run)
    process, cut_off = up.held_in_a_step(run)
    up.set_state(run, "CANCELLING", "Cancelling")
    up.let_end(process)
    assert up.ended(run)["state_type"] == "CANCELLED"
    (operation,) = up.operations(run)
    assert operation.outcome == "rolled_back", operation.error
    states = {step.state for step in up.steps(operation) if step.host == cut_off.host}
    assert "undone" in states
    assert "undo_failed" not in states


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP], ids=["SIGTERM", "SIGHUP"])
def test_a_terminal_that_ends_puts_its_member_back_first(
    up: PrefectSite, sent: signal.Signals
) -> None:
    """Prefect has handlers of its own in the run and in each of its subflows."""
    up.change(66 if sent is signal.SIGTERM else 67)
    child, run = up.begin("etcd-deploy", "flows")
    try:
        up.stops(1, run)
        for _ in range(3):
            child.send_signal(sent)
            time.sleep(0.1)
        said, _ = child.communicate(timeout=120)
    finally:
        child.kill()
    assert child.returncode == 1, said
    assert "RolledBack: " in said
    (operation,) = up.operations(run)
    assert operation.outcome == "rolled_back", operation.error
    assert f"ended by {sent.name}" in str(operation.error)
    assert up.ended(run)["state_name"] == "RolledBack"


def test_the_server_away_for_half_a_minute_stops_nothing(up: PrefectSite) -> None:
    up.change(70)
    run = up.start(cluster="flows")
    up.stops(1, run)
    up.kill(SERVER)
    time.sleep(AWAY_S)
    up.start_server()
    ended = up.ended(run)
    (operation,) = up.operations(run)
    assert (ended["state_name"], operation.outcome) == ("Done", "done"), operation.error
    assert {step.state for step in up.steps(operation)} == {"done"}


def test_what_a_killed_runner_leaves_behind_is_settled(up: PrefectSite) -> None:
    up.change(75)
    run = up.start(cluster="flows")
    up.stops(2, run)
    process, cut_off = up.held_in_a_step(run)
    up.kill(RUNNER)
    os.kill(process, signal.SIGKILL)
    assert up.run(run)["state_type"] == "RUNNING"
    up.start_runner()
    settling = up.ended(up.start("reconcile"))
    assert settling["state_name"] == "Done", settling["state"]
    assert up.run(run)["state_type"] == "CRASHED"
    assert up.children(run)[cut_off.host] == ["CRASHED"]
    (operation,) = up.operations(run)
    assert operation.outcome == "failed"
    assert f"perhaps half done: {cut_off.host}: {cut_off.title}; " in str(operation.error)
    assert up.under_way() == []
    assert up.call("reconcile").stdout == "Nothing was left behind.\n"
    assert up.ended(up.start("reconcile"))["state_name"] == "Nothing to do"
    back = up.ended(up.start("operation-rollback", cluster="flows"))
    assert back["state_name"] == "Done", back["state"]
    assert f"half done on {cut_off.host}: " in back["state"]["message"]


def test_the_rest_is_declined_or_approved_in_the_dialog(up: PrefectSite) -> None:
    up.change(80)
    run = up.start(cluster="flows", options={"pause_after_first": True})
    asked = up.dialog(run)
    assert "| members healthy | 3 of 3 |" in asked["description"]
    assert asked["schema"]["required"] == ["approve"]
    assert up.answer(run, approver="ada") == "REJECT"
    assert up.answer(run, approve=False, approver="ada") == "ACCEPT"
    assert up.ended(run)["state_name"] == "NotApproved"
    (operation,) = up.operations(run)
    assert (operation.outcome, "declined by ada" in str(operation.error)) == ("stopped", True)

    up.retry(run)
    up.dialog(run)
    assert up.answer(run, approve=True, approver="ada") == "ACCEPT"
    assert up.ended(run)["state_name"] == "Done"
    assert any(line.startswith("approved by ada; next: ") for line in up.logs(run))


def test_the_server_schedules_reconcile(up: PrefectSite) -> None:
    """With SQLAlchemy 2.1 the scheduler of Prefect 3.8.8 fails at every insert."""
    planned = {"name": {"any_": ["reconcile"]}}

    def look() -> list[str] | None:
        runs = up.ask("/flow_runs/filter", deployments=planned)
        return [run["state_name"] for run in runs if run["auto_scheduled"]] or None

    assert wait_for("a scheduled run", look)
