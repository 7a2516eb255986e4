"""Two operations on one cluster: one acts, the other is refused, wherever it is started from."""

from __future__ import annotations

import shutil
import threading

import pytest
from scenario_site import Site

from quoracy.errors import LeaseHeld

pytestmark = pytest.mark.lab

QUICK = {"heartbeat_interval_ms": 50, "election_timeout_ms": 500}


@pytest.fixture(scope="module")
def ours(make_site) -> Site:
    site = make_site("twice", ports={"client": 7379, "peer": 7380}, etcd=QUICK)
    assert site.deploy().outcome == "done"
    return site


@pytest.fixture(scope="module")
def theirs(ours: Site, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A second controller with a database of its own, which knows the same cluster and CA."""
    place = tmp_path_factory.mktemp("elsewhere")
    site = Site(ours.lab, place, ours.name, ours.hosts, settings=dict(ours.settings))
    shutil.copytree(ours.home.pki, site.home.pki)
    return site


def test_a_second_deploy_beside_the_first_gets_the_holder_named(ours: Site) -> None:
    ours.apply(etcd={**QUICK, "heartbeat_interval_ms": 60})
    refusals: list[LeaseHeld] = []

    def again(step, deploy) -> None:
        if step.name in ("take-snapshot", "stop-member"):
            with pytest.raises(LeaseHeld) as refusal:
                ours.deploy()
            refusals.append(refusal.value)

    before = ours.watch.restarts()
    assert ours.deploy(before_step=again).outcome == "done"
    assert len(refusals) == 4
    assert all(
        "works on it since" in one.what and "quoracy status" in one.next_step for one in refusals
    )
    after = ours.watch.restarts()
    assert all(before[host].invocation != after[host].invocation for host in ours.hosts)
    ours.require_healthy()
    assert ours.plan().kind == "nothing"


def test_a_second_controller_is_refused_by_the_hosts(ours: Site, theirs: Site) -> None:
    """Another process with another database: only the hosts can tell the two apart."""
    for site in (ours, theirs):
        site.apply(etcd={**QUICK, "heartbeat_interval_ms": 70})
    refused: list[str] = []
    since, one_at_a_time = ours.watch.now_us(), threading.Lock()

    def from_elsewhere(step, deploy) -> None:
        # Right after the snapshot, the other hosts have not been told of the operation yet.
        with one_at_a_time:
            if step.name == "switch-generation" or (
                step.name == "stage-generation" and not refused
            ):
                told = theirs.deploy_elsewhere()
                assert told.splitlines()[-1].startswith("LeaseHeld"), told
                refused.append(told)

    assert ours.deploy(before_step=from_elsewhere).outcome == "done"
    assert len(refused) == 4
    assert all("another operation acted there within the last minute" in one for one in refused)
    downs = ours.watch.down_intervals(since)
    assert sorted(down.member for down in downs) == sorted(ours.hosts)
    ours.require_healthy()
    assert theirs.plan().kind == "nothing"
