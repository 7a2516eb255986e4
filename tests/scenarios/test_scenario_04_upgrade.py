"""Upgrades under a writer: nothing acknowledged is lost, and one member at a time is down."""

from __future__ import annotations

import pytest
from scenario_site import MIDDLE, NEW, OLD, Site, members, reasons, stored_files

from quoracy.errors import Refused
from quoracy.lab.watch import overlaps
from quoracy.lab.writer import Writer

pytestmark = pytest.mark.lab

LONGEST_STALL_S = 3.0


@pytest.fixture(scope="module")
def neighbour(make_site) -> Site:
    """Another cluster on two of the hosts and a third one, with other ports; of the old release."""
    site = make_site(
        "near",
        hosts=(2, 3, 4),
        ports={"client": 4379, "peer": 4380},
        etcd={"heartbeat_interval_ms": 50, "election_timeout_ms": 500},
    )
    assert site.deploy().outcome == "done"
    return site


def own_files(site: Site) -> dict[str, dict[str, object]]:
    """The cluster's files without the releases, which clusters share."""
    return {
        host: {path: file for path, file in files.items() if not path.startswith("/opt/etcd")}
        for host, files in site.watch.files().items()
    }


def test_clusters_that_share_hosts_do_not_see_each_other(site: Site, neighbour: Site) -> None:
    neighbour.require_healthy()
    assert neighbour.pinned_id() != site.pinned_id()
    assert site.plan().kind == "nothing"
    assert neighbour.plan().kind == "nothing"


@pytest.mark.parametrize(("before", "after"), [(OLD, MIDDLE), (MIDDLE, NEW)])
def test_an_upgrade_under_load_loses_nothing(
    site: Site, neighbour: Site, before: str, after: str
) -> None:
    site.apply(version=before)
    assert site.plan().kind == "nothing"
    left_alone = own_files(neighbour), neighbour.watch.restarts()
    leader, stored = site.leader(), stored_files(site.backups)
    since = site.watch.now_us()
    with Writer(site.endpoints, site.client(), rate=100.0) as writer:
        site.apply(version=after)
        report = site.deploy()
        written = writer.stop()
    assert report.outcome == "done"
    assert written.acknowledged > 300
    assert writer.lost_writes(written) == ()
    assert written.longest_stall_s <= LONGEST_STALL_S
    assert written.longest_silence_s <= LONGEST_STALL_S
    downs = site.watch.down_intervals(since)
    assert sorted(down.member for down in downs) == sorted(site.hosts)
    assert overlaps(downs) == ()
    assert downs[-1].member == leader == members(report.plan)[-1]
    assert len(site.watch.leader_changes(since)) <= 1
    assert site.watch.hashkv().equal
    assert site.versions() == dict.fromkeys(site.hosts, after)
    (new,) = stored_files(site.backups).keys() - stored.keys()
    assert stored_files(site.backups)[new] // 1000 < downs[0].stopped_us
    assert (own_files(neighbour), neighbour.watch.restarts()) == left_alone
    assert neighbour.versions() == dict.fromkeys(neighbour.hosts, OLD)
    site.require_healthy()
    assert site.deploy().outcome == "nothing_to_do"


@pytest.mark.parametrize("version", [OLD, "3.4.45"])
def test_the_way_back_over_a_minor_is_refused(site: Site, version: str) -> None:
    traces = site.traces()
    plan = site.plan(version=version)
    assert reasons(plan) == {"DowngradeRefused"}
    with pytest.raises(Refused):
        site.deploy(version=version)
    assert site.traces() == traces


def test_the_next_minor_is_refused_below_its_floor(site: Site) -> None:
    assert reasons(site.plan(version="3.6.14")) == {"UpgradeFloor"}


def test_the_way_back_within_a_minor_is_open(site: Site) -> None:
    plan = site.plan(version=MIDDLE)
    assert not plan.refused
    assert sorted(members(plan)) == sorted(site.hosts)
