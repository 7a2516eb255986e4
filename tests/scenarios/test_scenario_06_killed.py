"""The process that deploys is killed (SIGKILL) at any point, on real hosts; run again, it converges.

At every point of the simulated world: tests/simulator/test_simulator_killed.py.
"""

from __future__ import annotations

import shutil

import pytest

from tests.scenarios.scenario_site import Site
from tests.scenarios.shared_faults import KilledScenario
from tests.services.sample import sample

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


# Of each way to be interrupted one; each point of a create takes eight seconds. Others are in the sample of
# tests/faults, and before and after each step it is killed in the simulated world.
CREATE_POINTS = [
    ("install-release", 2, "during"),
    ("write-bootstrap", 1, "after"),
    ("form-member", 2, "during"),
    ("pin-cluster", 0, "before"),
    ("finish-bootstrap", 2, "before"),
]


@pytest.mark.parametrize(("step", "number", "when"), sample(CREATE_POINTS, 2))
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


class TestKilled(KilledScenario):
    """Killed between two steps, on real hosts."""

    @pytest.mark.parametrize("step", ["take-snapshot", "start-member"])
    def test_killed_in_the_middle_of_a_step_it_converges(self, young: Site, step: str) -> None:
        heartbeat = {"take-snapshot": 70, "start-member": 75}[step]
        young.apply(etcd={**QUICK, "heartbeat_interval_ms": heartbeat})
        host = next(one.host for _, one in young.plan().steps if one.name == step)
        before = young.watch.restarts()
        assert young.deploy_killed(step, host, "during")[-1] == f"{host} {step}"
        assert young.deploy().outcome == "done"
        young.require_healthy()
        after = young.watch.restarts()
        assert all(before[name].invocation != after[name].invocation for name in young.hosts)
        assert young.deploy().outcome == "nothing_to_do"
