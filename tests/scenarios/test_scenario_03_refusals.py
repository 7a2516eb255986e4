"""What goes wrong before anything is changed leaves every member untouched."""

from __future__ import annotations

import pytest

from quoracy.errors import BackupFailed, Refused
from tests.scenarios.scenario_site import Site, reasons, stored_files

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("settled")]

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
