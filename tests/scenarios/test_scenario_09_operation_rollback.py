"""operation-rollback: what a killed operation has left half done is put back from its journal."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from quoracy.errors import LeaseHeld, StepFailed
from quoracy.etcd.rollback import open_etcd_rollback
from quoracy.operation.lease import Asked, Report
from tests.scenarios.plan_reading import members
from tests.scenarios.scenario_site import Site
from tests.services.sample import sample

pytestmark = pytest.mark.lab

QUICK = {"heartbeat_interval_ms": 50, "election_timeout_ms": 500}
ASKED = Asked(by="tester", origin="terminal on scenarios")


@pytest.fixture(scope="module")
def back(make_site) -> Site:
    site = make_site("back", ports={"client": 8679, "peer": 8680}, etcd=QUICK)
    site.version = "3.5.16"
    site.apply()
    assert site.deploy().outcome == "done"
    return site


def put_back(site: Site) -> Report:
    with open_etcd_rollback(site.name, site.home) as rollback:
        return rollback.run(rollback.plan(), ASKED)


@pytest.mark.parametrize(
    ("step", "when"),
    sample(
        [("stop-member", "after"), ("switch-generation", "after"), ("start-member", "after")], 2
    ),
)
def test_the_member_that_was_worked_on_runs_again_as_before(
    back: Site, step: str, when: str
) -> None:
    generations, starts = back.current(), back.watch.restarts()
    back.apply(etcd={**QUICK, "heartbeat_interval_ms": 60})
    first, *others = members(back.plan())
    back.deploy_killed(step, first, when)
    report = put_back(back)
    assert (report.outcome, report.plan.kind) == ("done", "rollback")
    assert back.current() == generations
    after = back.watch.restarts()
    assert {name: after[name] for name in others} == {name: starts[name] for name in others}
    back.require_healthy()
    assert put_back(back).outcome == "nothing_to_do"
    back.back()
    assert back.plan().kind == "nothing" or back.deploy().outcome == "done"


def test_while_somebody_is_at_it_there_is_nothing_to_put_back_and_no_trace_of_asking(
    back: Site,
) -> None:
    """What a later rollback finds must not depend on whether one was asked for too early."""
    back.apply(etcd={**QUICK, "heartbeat_interval_ms": 65})
    refusals: list[LeaseHeld] = []

    def asks(step, deploy) -> None:
        if step.name == "stop-member" and not refusals:
            with pytest.raises(LeaseHeld) as refusal:
                put_back(back)
            refusals.append(refusal.value)

    assert back.deploy(before_step=asks).outcome == "done"
    assert "works on it since" in refusals[0].what
    back.apply(etcd={**QUICK, "heartbeat_interval_ms": 75})
    back.deploy_killed("stop-member", members(back.plan())[0], "after")
    assert put_back(back).outcome == "done"
    back.apply(etcd={**QUICK, "heartbeat_interval_ms": 65})
    assert back.plan().kind == "nothing"


def test_starting_what_is_stopped_does_not_make_it_forgotten(back: Site) -> None:
    """A start leaves members as they lie on disk, so what was half done still is."""
    back.apply(etcd={**QUICK, "heartbeat_interval_ms": 80})
    first, second, _ = members(back.plan())
    back.deploy_killed("switch-generation", first, "after")
    back.stop(second)
    started = back.deploy()
    assert (started.outcome, started.plan.kind) == ("done", "start")
    back.require_healthy()
    report = put_back(back)
    assert (report.outcome, report.plan.kind) == ("done", "rollback")
    assert {step.host for _, step in report.plan.steps} == {first}
    back.require_healthy()
    back.back()
    assert back.plan().kind == "nothing" or back.deploy().outcome == "done"


def test_a_member_that_served_neither_before_nor_after_is_not_rolled_back(back: Site) -> None:
    host = back.hosts[1]
    database = f"{back.cluster.data_dir}/member/snap/db"
    back.stop(host)
    back.shell(host, f"cp -a {database} /root/kept && head -c 65536 /dev/zero > {database}")
    back.apply(etcd={**QUICK, "heartbeat_interval_ms": 85})
    generation = back.current()[host]
    try:
        with pytest.raises(StepFailed) as failure:
            back.deploy()
    finally:
        back.stop(host)
        back.shell(host, f"mv -f /root/kept {database}")
    assert type(failure.value) is StepFailed, failure.value
    said = failure.value.what
    assert said.count("invalid database") == 1, said
    assert "goroutine" not in said
    assert "what had been changed was put back; it did not serve before" in said
    assert failure.value.where == host
    told = json.loads(quoracy(back, "history", "back", "--json").stdout)
    assert told[0]["outcome"] == "failed"
    assert back.current()[host] == generation
    assert put_back(back).outcome == "nothing_to_do"
    assert back.deploy().outcome == "done"
    back.require_healthy()


def test_a_create_that_was_cut_off_is_taken_off_all_hosts(back: Site, make_site) -> None:
    young = make_site("cut", ports={"client": 8779, "peer": 8780}, etcd=QUICK)
    young.deploy_killed("switch-generation", young.hosts[1], "after")
    report = put_back(young)
    assert report.outcome == "done"
    left = young.everywhere(
        f"ls -d {young.cluster.data_dir}/member /etc/systemd/system/{young.cluster.unit} "
        f"{young.cluster.config_dir}/bootstrap.yaml 2>/dev/null || true"
    )
    assert left == dict.fromkeys(young.hosts, "")
    assert young.deploy().outcome == "done"
    young.require_healthy()
    assert put_back(young).outcome == "nothing_to_do"


def quoracy(site: Site, *words: str) -> subprocess.CompletedProcess[str]:
    """The command, on this site's controller, without a Prefect server anywhere."""
    return subprocess.run(
        (str(Path(sys.executable).with_name("quoracy")), *words),
        env={"QUORACY_HOME": str(site.home.path), "HOME": str(site.place), "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_without_prefect_the_same_loop_runs_and_history_shows_it(back: Site) -> None:
    back.apply(etcd={**QUICK, "heartbeat_interval_ms": 70})
    shown = json.loads(quoracy(back, "plan", "etcd-deploy", "back", "--json").stdout)
    other = quoracy(back, "etcd-deploy", "back", "--without-prefect", "--plan-id", "0" * 16)
    assert (other.returncode, "not 0000000000000000 that was asked for" in other.stdout) == (
        3,
        True,
    )
    done = quoracy(back, "etcd-deploy", "back", "--without-prefect", "--plan-id", shown["digest"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Done: change back, 3 members one by one" in done.stdout
    back.require_healthy()
    told = json.loads(quoracy(back, "history", "back", "--json").stdout)
    assert [(one["outcome"], one["flow_run_id"]) for one in told[:2]] == [
        ("done", None),
        ("refused", None),
    ]
    assert told[0]["origin"].startswith("terminal, without prefect on ")


def test_nobody_at_a_terminal_can_be_asked(back: Site) -> None:
    told = quoracy(back, "etcd-deploy", "back", "--without-prefect", "--pause-after-first")
    assert told.returncode == 2
    assert "add --yes" in told.stderr
