"""Data that is not the cluster's, on real hosts: never created over, never given to etcd, never believed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from quoracy.errors import Refused, RolledBack
from quoracy.etcd.compare import compare_data, compare_revisions
from quoracy.etcd.deploy import Wanted
from quoracy.operation.step import Step
from tests.scenarios.plan_reading import reasons, stored_files
from tests.scenarios.scenario_site import MIDDLE, Site

pytestmark = pytest.mark.lab

QUICK = {"heartbeat_interval_ms": 50, "election_timeout_ms": 500}
KEPT = "/var/lib/quoracy-kept.db"
MakeSite = Callable[..., Site]


def directories(root: str) -> dict[str, str]:
    return {"data": f"/srv/{root}/data", "wal": f"/srv/{root}/log"}


@pytest.fixture(scope="module")
def old(make_site: MakeSite) -> Iterator[Site]:
    """A cluster of which the data is left, and a copy of each member's database, at revision 4."""
    site = make_site(
        "old", ports={"client": 8379, "peer": 8380}, directories=directories("old"), etcd=QUICK
    )
    site.version = MIDDLE
    site.apply()
    assert site.deploy().outcome == "done"
    for number in range(3):
        site.etcdctl(site.hosts[0], "put", f"old-{number}", "old")
    site.stop(*site.hosts)
    unit = site.cluster.unit
    site.everywhere(
        f"cp /srv/old/data/member/snap/db {KEPT}; systemctl disable -q {unit}; "
        f"rm -rf /etc/systemd/system/{unit} {site.cluster.config_dir}; systemctl daemon-reload"
    )
    yield site
    site.everywhere(f"rm -rf /srv/old {KEPT}")


def listed(site: Site, *places: str) -> dict[str, str]:
    """Everything below these places with owner, mode and times, by host."""
    return site.everywhere(f"find {' '.join(places)} -printf '%p %u %g %m %s %T@ %C@\\n' | sort")


def refused(site: Site, *places: str) -> set[str]:
    """Why a create is refused; nothing that it could have touched has changed."""
    files, data = site.watch.files(), listed(site, *places)
    with pytest.raises(Refused):
        site.deploy()
    assert site.watch.files() == files
    assert listed(site, *places) == data
    assert site.pinned_id() is None
    return reasons(site.plan())


# ------------------------------------------------------------------ a create over old data


@pytest.fixture
def over(old: Site, make_site: MakeSite) -> Site:
    """Another controller's cluster that names the old data directory, and another one for its log."""
    site = make_site("over", ports={"client": 8479, "peer": 8480}, etcd=QUICK)
    site.version = MIDDLE
    # Only now: a new site begins with taking its directories off the hosts.
    site.apply(directories={"data": "/srv/old/data", "wal": "/srv/over/log"})
    return site


def test_old_data_beside_another_log_directory_is_never_created_over(over: Site) -> None:
    """Done before this was refused: revisions 4/1/1, writes missing through one member, all healthy."""
    assert refused(over, "/srv") == {"ForeignData"}
    over.apply(directories={"data": "/srv/old/data"})
    assert refused(over, "/srv") == {"ForeignData"}
    first = over.hosts[0]
    for host in over.hosts[1:]:
        over.shell(host, "mv /srv/old /srv/old.kept")
    try:
        over.apply(directories={"data": "/srv/old/data", "wal": "/srv/over/log"})
        assert refused(over, "/srv") == {"ForeignData"}
        over.shell(first, "mv /srv/old/data/member/quoracy-cluster-id /srv/old/mark")
        assert refused(over, "/srv") == {"ForeignData"}
        over.shell(first, "mv /srv/old/mark /srv/old/data/member/quoracy-cluster-id")
        over.shell(first, "mkdir /srv/old/snap; mv /srv/old/data/member/snap/db /srv/old/snap")
        assert refused(over, "/srv") == {"ForeignData"}
        over.shell(first, "mv /srv/old/snap/db /srv/old/data/member/snap; rmdir /srv/old/snap")
    finally:
        for host in over.hosts[1:]:
            over.shell(host, "mv /srv/old.kept /srv/old")


# ------------------------------------------------------------------ members that hold different data


def put_old_data(site: Site, host: str) -> None:
    snap = f"{site.cluster.data_dir}/member/snap"
    site.shell(
        host,
        f"install -d -o etcd -g etcd -m 0700 {site.cluster.data_dir}/member {snap}; "
        f"install -o etcd -g etcd -m 0600 {KEPT} {snap}/db",
    )


def test_data_that_came_after_the_look_is_found_before_the_cluster_is_pinned(
    old: Site, make_site: MakeSite
) -> None:
    site = make_site("late", ports={"client": 8579, "peer": 8580}, etcd=QUICK)
    site.version = MIDDLE
    site.apply()
    host = site.hosts[1]

    def slip_in(step: Step, deploy: object) -> None:
        if (step.name, step.host) == ("form-member", host):
            put_old_data(site, host)

    with pytest.raises(RolledBack, match="hold different data"):
        site.deploy(before_step=slip_in)
    assert site.pinned_id() is None
    kept = site.shell(host, f"ls {site.cluster.data_dir}/member.aside-*/snap/db")
    assert kept.count("\n") == 1
    assert site.deploy().outcome == "done"
    site.require_healthy()


@pytest.mark.parametrize("at", ["prepare-host", "write-bootstrap"])
def test_data_that_came_right_before_a_step_is_left_alone_by_it(
    make_site: MakeSite, at: str
) -> None:
    site = make_site("race", ports={"client": 8779, "peer": 8780}, etcd=QUICK)
    site.version = MIDDLE
    site.apply()
    host, data = site.hosts[1], site.cluster.data_dir
    before: list[str] = []

    def slip_in(step: Step, deploy: object) -> None:
        if (step.name, step.host) == (at, host):
            site.shell(host, f"mkdir -p {data}/member/snap; touch {data}/member/snap/db")
            before.append(listed(site, f"{data}/member")[host])

    with pytest.raises(RolledBack, match="left alone, as it is not ours") as failure:
        site.deploy(before_step=slip_in)
    assert f"in {data}/member snap" in str(failure.value)
    assert [listed(site, f"{data}/member")[host]] == before
    assert site.shell(host, f"ls {site.cluster.config_dir}/bootstrap.yaml || true") == ""
    site.shell(host, f"rm -r {data}/member")
    assert site.deploy().outcome == "done"


@pytest.fixture(scope="module")
def apart(old: Site, make_site: MakeSite) -> Site:
    """As a create over old data once left it: made by hand, past the product; equal revisions so far."""
    site = make_site("apart", ports={"client": 8679, "peer": 8680}, etcd=QUICK)
    site.version = MIDDLE
    site.apply()
    assert site.deploy().outcome == "done"
    for _ in range(20):
        # What the old database has applied already, by its own count, is not applied to it again.
        site.etcdctl(site.hosts[0], "lease", "grant", "6000")
    site.stop(*site.hosts)
    put_old_data(site, site.hosts[1])
    mark = f"{site.cluster.data_dir}/member/quoracy-cluster-id"
    assert site.shell(site.hosts[1], f"cat {mark}").strip() == site.pinned_id()
    site.everywhere(f"systemctl start {site.cluster.unit}")
    site.require_healthy()
    for _ in range(3):
        write_where_nothing_was(site)
    assert not site.watch.hashkv().equal
    return site


def write_where_nothing_was(site: Site) -> None:
    """A change that etcd makes on the members without the old keys, and on the other one not."""
    config = site.cluster.config_dir
    site.shell(
        site.hosts[0],
        'printf \'version("old-0") > "0"\\n\\nget old-0\\n\\nput new new\\n\\n\' | '
        f"{config}/current/release/etcdctl --endpoints={site.endpoints[0]} --cacert={config}/tls/ca.pem "
        f"--cert={config}/tls/client.pem --key={config}/tls/client.key txn",
    )


def status(site: Site, *options: str) -> tuple[int, str]:
    """Exit code and standard output of `quoracy status`."""
    done = subprocess.run(
        (
            sys.executable,
            "-c",
            "from quoracy.cli.app import main; main()",
            "status",
            site.name,
            *options,
        ),
        env={**os.environ, "QUORACY_HOME": str(site.home.path), "COLUMNS": "300"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def revisions(site: Site) -> list[int]:
    told = site.etcdctl(site.hosts[0], "endpoint", "status")
    return [entry["Status"]["header"]["revision"] for entry in told]


def test_equal_revisions_hide_it_and_the_deep_look_finds_it(apart: Site) -> None:
    assert len(set(revisions(apart))) == 1
    assert status(apart)[0] == 0
    code, told = status(apart, "--deep")
    assert code == 1
    assert "the members hold different data: at revision 4 their hashes are" in told
    assert "replacing the others is not built yet" in told
    data = json.loads(status(apart, "--deep", "--json")[1])["data"]
    assert (data["status"], data["reason"]) == ("fail", "Diverged")
    assert all(host in data["message"] for host in apart.hosts)


def test_no_snapshot_is_taken_of_it_and_nothing_is_changed(apart: Site) -> None:
    before, stored = apart.traces(), stored_files(apart.backups)
    apart.apply(etcd={**QUICK, "heartbeat_interval_ms": 60})
    with pytest.raises(Refused, match="hold different data") as refusal:
        apart.deploy()
    apart.back()
    assert refusal.value.exit_code == 3
    assert stored_files(apart.backups) == stored
    assert apart.watch.restarts() == before.processes
    assert apart.shell(apart.hosts[0], f"ls /var/lib/quoracy/{apart.name}/*.db || true") == ""


def test_revisions_that_differ_are_found_without_the_deep_look(apart: Site) -> None:
    write_where_nothing_was(apart)
    assert revisions(apart)[1] < revisions(apart)[0]
    code, told = status(apart)
    assert code == 1
    assert f"{apart.hosts[0]} was at revision 5" in told
    assert f"answered by {apart.hosts[1]} at revision 4" in told
    plan = apart.plan()
    assert (plan.kind, reasons(plan)) == ("nothing", {"Diverged"})
    with pytest.raises(Refused, match="hold different data"):
        apart.deploy()


def test_under_load_nobody_is_accused(make_site: MakeSite) -> None:
    site = make_site("load", ports={"client": 8879, "peer": 8880}, etcd=QUICK)
    site.version = MIDDLE
    site.apply()
    assert site.deploy().outcome == "done"
    with site.watched(load=True), site.opened(Wanted(site.name)) as deploy:
        looks = [deploy.gather() for _ in range(20)]
        plain = [compare_revisions(deploy.cluster, deploy.pool, deploy.gather()) for _ in range(20)]
        deep = [compare_data(deploy.cluster, deploy.pool, deploy.gather) for _ in range(5)]
    # That they differ is what would accuse somebody.
    assert any(len({one.revision for one in look.statuses.values()}) > 1 for look in looks)
    assert {verdict.reason for verdict in plain} == {"RevisionsFit"}
    assert {verdict.reason for verdict in deep} == {"SameData"}
    site.stop(site.hosts[2])
    told = status(site, "--deep")[1]
    assert f"{site.hosts[0]}, {site.hosts[1]} hold the same data" in told
    assert f"not compared, as they serve no reads: {site.hosts[2]}" in told
