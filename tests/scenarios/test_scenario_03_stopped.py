"""Members that are stopped, data that is gone, hosts that are away: brought back, or refused and untouched."""

from __future__ import annotations

import time

import pytest

from quoracy.errors import Refused
from tests.scenarios.scenario_site import (
    OLD,
    Site,
    advice,
    members,
    reasons,
    step_names,
    stored_files,
)

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("settled")]

TUNED = {"heartbeat_interval_ms": 130}


# ------------------------------------------------------------------ members that are down


@pytest.mark.parametrize("count", [1, 2, 3])
def test_stopped_members_are_started_without_a_backup(site: Site, count: int) -> None:
    down = site.hosts[:count]
    site.stop(*down)
    before, stored = site.watch.restarts(), stored_files(site.backups)
    report = site.deploy()
    assert report.outcome == "done"
    assert report.plan.before == ()
    assert {step.host for _, step in report.plan.steps} == set(down)
    after = site.watch.restarts()
    assert {host for host in site.hosts if after[host] != before[host]} == set(down)
    assert stored_files(site.backups) == stored


def test_a_killed_member_comes_back_by_itself(site: Site) -> None:
    host = site.hosts[1]
    pid = site.watch.restarts()[host].pid
    site.shell(host, f"kill -KILL {pid}")
    deadline = time.monotonic() + 30
    while site.watch.restarts()[host].pid in (0, pid) and time.monotonic() < deadline:
        time.sleep(0.2)
    site.shell(host, f"systemctl start {site.cluster.unit}")


def test_a_change_with_a_member_down_brings_that_one_first(site: Site) -> None:
    host = next(name for name in site.hosts if name != site.leader())
    site.stop(host)
    site.apply(etcd=TUNED)
    plan = site.plan()
    assert not plan.refused, reasons(plan)
    assert members(plan)[0] == host
    assert plan.before
    assert plan.before[0].host != host
    site.back()
    assert site.deploy().outcome == "done"


def test_without_quorum_what_is_stopped_is_started_and_nothing_changed(site: Site) -> None:
    down = site.hosts[:2]
    site.stop(*down)
    site.apply(etcd=TUNED)
    before, stored, generations = site.starts(), stored_files(site.backups), site.current()
    report = site.deploy()
    assert (report.outcome, report.plan.kind) == ("done", "start")
    after = site.starts()
    assert {host for host in site.hosts if after[host] != before[host]} == set(down)
    assert site.current() == generations
    assert stored_files(site.backups) == stored
    site.require_healthy()
    # What differs is left to the next run, which has a quorum to stand on.
    assert members(site.plan())
    site.back()


# ------------------------------------------------------------------ data that is gone or foreign


def test_a_wiped_data_directory_does_not_start_and_is_refused(site: Site) -> None:
    host, data, unit = site.hosts[2], site.cluster.data_dir, site.cluster.unit
    site.stop(host)
    site.shell(host, f"mv {data} {data}.kept; install -d -m 0700 -o etcd -g etcd {data}")
    plan = site.plan()
    assert "LogMissing" in reasons(plan)
    assert "is not built yet" in advice(plan)
    assert step_names(plan) == []
    with pytest.raises(Refused):
        site.deploy()
    assert (
        site.shell(host, f"systemctl start {unit} && echo started || echo refused") == "refused\n"
    )
    journal = site.shell(host, f"journalctl -u {unit} -o cat --no-pager -n 30")
    assert f"quoracy: refusing to start member {host}: there is no log in {data}" in journal
    assert site.shell(host, f"ls -A {data}") == ""
    site.stop(host)
    site.shell(host, f"rm -rf {data}; mv {data}.kept {data}")
    assert site.deploy().outcome == "done"


def test_foreign_data_does_not_start_and_is_refused(site: Site) -> None:
    host, data, unit = site.hosts[2], site.cluster.data_dir, site.cluster.unit
    mark = f"{data}/member/quoracy-cluster-id"
    site.stop(host)
    site.shell(host, f"cp -a {mark} {mark}.kept; echo 1234567890abcdef > {mark}")
    plan = site.plan()
    assert "ForeignData" in reasons(plan)
    assert step_names(plan) == []
    with pytest.raises(Refused):
        site.deploy()
    assert (
        site.shell(host, f"systemctl start {unit} && echo started || echo refused") == "refused\n"
    )
    journal = site.shell(host, f"journalctl -u {unit} -o cat --no-pager -n 30")
    assert f"{data} belongs to cluster 1234567890abcdef, not to {site.pinned_id()}" in journal
    site.stop(host)
    site.shell(host, f"mv -f {mark}.kept {mark}")
    assert site.deploy().outcome == "done"


# ------------------------------------------------------------------ hosts that cannot be asked


def test_a_host_that_cannot_be_reached_is_not_taken_for_fine(site: Site) -> None:
    host = site.hosts[2]
    site.apply(etcd=TUNED)
    before = site.traces()
    site.lab.cut(host, "controller")
    try:
        with pytest.raises(Refused, match=host):
            site.deploy()
    finally:
        site.lab.heal(host)
    assert site.traces() == before


def test_a_change_with_a_host_off_is_refused_and_the_host_comes_back_by_itself(site: Site) -> None:
    host = site.hosts[2]
    site.apply(etcd=TUNED)
    before = site.watch.restarts()
    site.lab.power_off(host)
    try:
        plan = site.plan()
        assert "HostSilent" in reasons(plan)
        with pytest.raises(Refused):
            site.deploy()
    finally:
        site.lab.power_on(host)
        site.lab.wait_for_ssh(host)
    site.shell(host, f"systemctl start {site.cluster.unit}")
    after = site.watch.restarts()
    assert {name for name in site.hosts if after[name] != before[name]} == {host}


def test_the_hosts_run_what_they_ran(site: Site) -> None:
    assert site.versions() == dict.fromkeys(site.hosts, OLD)
