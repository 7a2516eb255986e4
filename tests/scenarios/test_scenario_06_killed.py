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


# Of each way to be interrupted one; each point of a create takes eight seconds.
CREATE_POINTS = [
    ("install-release", 2, "during"),
    ("write-bootstrap", 1, "after"),
    ("form-member", 2, "during"),
    ("pin-cluster", 0, "before"),
    ("finish-bootstrap", 2, "before"),
]


@pytest.mark.parametrize(("step", "number", "when"), CREATE_POINTS)
def test_a_killed_create_converges(young: Site, step: str, number: int, when: str) -> None:
    host = young.hosts[number - 1] if number else ""
    young.raze()
    if step == "install-release":
        young.everywhere("rm -rf /opt/etcd-young")
    shutil.rmtree(young.home.path)
    young.apply()
    assert f"{host} {step}" in young.deploy_killed(step, host, when)
    assert young.deploy().outcome == "done"
    young.require_healthy()
    assert young.deploy().outcome == "nothing_to_do"


ROLL_POINTS = [
    ("take-snapshot", "during"),
    ("stop-member", "after"),
    ("switch-generation", "after"),
    ("start-member", "during"),
]


@pytest.mark.parametrize(("step", "when"), ROLL_POINTS)
def test_a_killed_roll_converges(young: Site, step: str, when: str) -> None:
    heartbeat = 55 + 5 * ROLL_POINTS.index((step, when))
    young.apply(etcd={**QUICK, "heartbeat_interval_ms": heartbeat})
    host = next(one.host for _, one in young.plan().steps if one.name == step)
    before = young.watch.restarts()
    assert young.deploy_killed(step, host, when)[-1] == f"{host} {step}"
    # Another process: the dead one's lease is taken over at once, on the hosts as well.
    stored = stored_files(young.backups)
    assert young.deploy().outcome == "done"
    assert stored_files(young.backups).keys() > stored.keys()
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
