"""What goes wrong before anything is changed leaves every member untouched."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from scenario_site import OLD, Site, advice, members, reasons, step_names, stored_files

from quoracy.errors import BackupFailed, Refused

pytestmark = pytest.mark.lab

TUNED = {"heartbeat_interval_ms": 130}


def untouched_but_for_the_guard(site: Site, before) -> bool:
    """Same processes and files; the guard's own state on the hosts may tell of the attempt."""
    after, guard = site.traces(), f"/var/lib/quoracy/{site.name}"

    def kept(traces):
        return {
            host: {path: file for path, file in files.items() if not path.startswith(guard)}
            for host, files in traces.files.items()
        }

    return after.processes == before.processes and kept(after) == kept(before)


@pytest.fixture(autouse=True)
def settled(site: Site) -> Iterator[None]:
    """Each test begins and ends with the spec as it runs, and three healthy members."""
    site.back()
    yield
    site.back()
    site.require_healthy()
    assert site.plan().kind == "nothing"


# ------------------------------------------------------------------ the backup fails


def test_a_store_that_cannot_be_written_stops_everything(site: Site) -> None:
    blocked = site.place / "a-file"
    blocked.write_text("no directory\n")
    site.apply(etcd=TUNED, backup={"directory": str(blocked)})
    before = site.traces()
    with pytest.raises(BackupFailed) as failure:
        site.deploy()
    assert failure.value.next_step
    assert untouched_but_for_the_guard(site, before)


def test_a_store_endpoint_that_refuses_stops_everything(site: Site, monkeypatch) -> None:
    monkeypatch.setenv("SCENARIO_S3_KEY", "key")
    s3 = {
        "endpoint": "http://127.0.0.1:9",
        "bucket": "backups",
        "access_key": "env:SCENARIO_S3_KEY",
        "secret_key": "env:SCENARIO_S3_KEY",
    }
    site.apply(etcd=TUNED, backup={"s3": s3})
    before = site.traces()
    with pytest.raises(BackupFailed):
        site.deploy()
    assert untouched_but_for_the_guard(site, before)


def test_a_secret_that_cannot_be_resolved_stops_everything(site: Site) -> None:
    s3 = {
        "endpoint": "http://127.0.0.1:9",
        "bucket": "backups",
        "access_key": "env:SCENARIO_S3_NOT_SET",
        "secret_key": "env:SCENARIO_S3_NOT_SET",
    }
    site.apply(etcd=TUNED, backup={"s3": s3})
    before = site.traces()
    with pytest.raises(BackupFailed, match="SCENARIO_S3_NOT_SET"):
        site.deploy()
    assert untouched_but_for_the_guard(site, before)


def test_a_full_disk_is_refused_by_the_plan(site: Site) -> None:
    host = site.hosts[0]
    site.apply(etcd=TUNED)
    before = site.traces()
    site.lab.fill_disk(host, leave=100 * 1024**2)
    try:
        plan = site.plan()
        with pytest.raises(Refused):
            site.deploy()
    finally:
        site.lab.free_disk(host)
    assert "DiskFull" in reasons(plan)
    assert untouched_but_for_the_guard(site, before)


def test_a_disk_that_is_full_when_the_snapshot_is_saved_stops_everything(site: Site) -> None:
    site.apply(etcd=TUNED)
    before, filled = site.traces(), []

    def fill(step, deploy) -> None:
        if step.name == "take-snapshot":
            filled.append(step.host)
            site.lab.fill_disk(step.host)

    try:
        with pytest.raises(BackupFailed):
            site.deploy(before_step=fill)
    finally:
        for host in filled:
            site.lab.free_disk(host)
    assert filled
    assert untouched_but_for_the_guard(site, before)
    assert site.shell(filled[0], f"cat /var/lib/quoracy/{site.name}/fence").strip()


def test_a_snapshot_that_is_cut_short_on_its_way_is_no_backup(site: Site) -> None:
    """Something truncates the saved file before it is fetched."""
    site.apply(etcd=TUNED)
    before, stored = site.traces(), stored_files(site.backups)

    def spoil(step, deploy) -> None:
        if step.name == "take-snapshot":
            # etcdctl of the host is replaced for as long as the snapshot is taken.
            site.shell(
                step.host,
                "cd /opt/etcd/3.4.23 && mv etcdctl etcdctl.kept && cat > etcdctl <<'END'\n"
                "#!/bin/sh\n"
                '/opt/etcd/3.4.23/etcdctl.kept "$@" || exit\n'
                'case " $* " in *" snapshot save "*) for f; do :; done; truncate -s -512 "$f";; esac\n'
                "END\nchmod 755 etcdctl",
            )
            spoiled.append(step.host)

    spoiled: list[str] = []
    try:
        with pytest.raises(BackupFailed, match="trailer"):
            site.deploy(before_step=spoil)
    finally:
        for host in spoiled:
            site.shell(host, "cd /opt/etcd/3.4.23 && mv -f etcdctl.kept etcdctl")
    assert site.watch.restarts() == before.processes
    assert stored_files(site.backups) == stored


# ------------------------------------------------------------------ members that are down


def stop(site: Site, *hosts: str) -> None:
    for host in hosts:
        site.shell(host, f"systemctl stop {site.cluster.unit}")


@pytest.mark.parametrize("count", [1, 2, 3])
def test_stopped_members_are_started_without_a_backup(site: Site, count: int) -> None:
    down = site.hosts[:count]
    stop(site, *down)
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
    stop(site, host)
    site.apply(etcd=TUNED)
    plan = site.plan()
    assert not plan.refused, reasons(plan)
    assert members(plan)[0] == host
    assert plan.before
    assert plan.before[0].host != host
    site.back()
    assert site.deploy().outcome == "done"


def test_a_change_without_quorum_is_refused(site: Site) -> None:
    stop(site, *site.hosts[:2])
    site.apply(etcd=TUNED)
    before = site.traces()
    with pytest.raises(Refused, match=r"\[NotQuorate\]"):
        site.deploy()
    assert site.traces() == before
    site.back()
    assert site.deploy().outcome == "done"


# ------------------------------------------------------------------ data that is gone or foreign


def test_a_wiped_data_directory_does_not_start_and_is_refused(site: Site) -> None:
    host, data, unit = site.hosts[2], site.cluster.data_dir, site.cluster.unit
    stop(site, host)
    site.shell(host, f"mv {data} {data}.kept; install -d -m 0700 -o etcd -g etcd {data}")
    plan = site.plan()
    assert "LogMissing" in reasons(plan)
    assert f"`quoracy etcd-replace scene {host}`" in advice(plan)
    assert step_names(plan) == []
    with pytest.raises(Refused):
        site.deploy()
    assert (
        site.shell(host, f"systemctl start {unit} && echo started || echo refused") == "refused\n"
    )
    journal = site.shell(host, f"journalctl -u {unit} -o cat --no-pager -n 30")
    assert f"quoracy: refusing to start member {host}: there is no log in {data}" in journal
    assert site.shell(host, f"ls -A {data}") == ""
    stop(site, host)
    site.shell(host, f"rm -rf {data}; mv {data}.kept {data}")
    assert site.deploy().outcome == "done"


def test_foreign_data_does_not_start_and_is_refused(site: Site) -> None:
    host, data, unit = site.hosts[2], site.cluster.data_dir, site.cluster.unit
    mark = f"{data}/member/quoracy-cluster-id"
    stop(site, host)
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
    stop(site, host)
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
