"""The process that deploys is killed (SIGKILL) at any point; run again, it converges."""

from __future__ import annotations

import shutil

import pytest
from scenario_site import Site, stored_files

pytestmark = pytest.mark.lab

QUICK = {"heartbeat_interval_ms": 50, "election_timeout_ms": 500}


@pytest.fixture(scope="module")
def young(make_site) -> Site:
    """A cluster that is created, and taken off the hosts again, for each point of a create."""
    return make_site(
        "young",
        ports={"client": 6379, "peer": 6380},
        directories={"bin": "/opt/etcd-young"},
        etcd=QUICK,
    )


CREATE_POINTS = [
    ("prepare-host", 1, "before"),
    ("install-release", 2, "during"),
    ("write-certificates", 3, "after"),
    ("write-bootstrap", 1, "after"),
    ("form-member", 1, "before"),
    ("form-member", 2, "during"),
    ("pin-cluster", 0, "before"),
    ("finish-bootstrap", 2, "before"),
]


@pytest.mark.parametrize(("step", "number", "when"), CREATE_POINTS)
def test_a_killed_create_converges(young: Site, step: str, number: int, when: str) -> None:
    host = young.hosts[number - 1] if number else ""
    young.raze()
    young.everywhere("rm -rf /opt/etcd-young")
    shutil.rmtree(young.home.path)
    young.apply()
    begun = young.deploy_killed(step, host, when)
    assert f"{host} {step}" in begun
    report = young.deploy()
    assert report.outcome == "done"
    young.require_healthy()
    assert young.plan().kind == "nothing"
    assert young.deploy().outcome == "nothing_to_do"


ROLL_POINTS = [
    ("take-snapshot", "during"),
    ("stage-generation", "during"),
    ("stop-member", "before"),
    ("stop-member", "after"),
    ("switch-generation", "after"),
    ("start-member", "during"),
    ("await-member", "after"),
]


@pytest.mark.parametrize(("step", "when"), ROLL_POINTS)
def test_a_killed_roll_converges(young: Site, step: str, when: str) -> None:
    heartbeat = 50 + 5 * ROLL_POINTS.index((step, when)) + 5
    young.apply(etcd={**QUICK, "heartbeat_interval_ms": heartbeat})
    plan = young.plan()
    assert not plan.refused
    host = next(one.host for _, one in plan.steps if one.name == step)
    before = young.watch.restarts()
    begun = young.deploy_killed(step, host, when)
    assert begun[-1] == f"{host} {step}" or when != "before"
    # Another process: the dead one's lease is taken over at once, on the hosts as well.
    stored = stored_files(young.backups)
    assert young.deploy().outcome == "done"
    assert stored_files(young.backups).keys() > stored.keys() or step == "await-member"
    young.require_healthy()
    after = young.watch.restarts()
    assert all(before[name].invocation != after[name].invocation for name in young.hosts)
    assert young.deploy().outcome == "nothing_to_do"


def test_killed_twice_within_a_minute_it_still_converges(young: Site) -> None:
    """The second process that dies has not yet told all hosts that it took over from the first."""
    young.apply(etcd={**QUICK, "heartbeat_interval_ms": 95})
    host = next(one.host for _, one in young.plan().steps if one.name == "stop-member")
    young.deploy_killed("stop-member", host, "before")
    young.deploy_killed("take-snapshot", next(s.host for s in young.plan().before), "after")
    assert young.deploy().outcome == "done"
    young.require_healthy()
    assert young.plan().kind == "nothing"
