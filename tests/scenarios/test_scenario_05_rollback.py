"""A member that does not come back is put back to what ran before; the others are left alone."""

from __future__ import annotations

import pytest
from scenario_site import NEW, Site, members

from quoracy.errors import Refused, RolledBack

pytestmark = pytest.mark.lab

TUNED = {"heartbeat_interval_ms": 60, "election_timeout_ms": 500}


@pytest.fixture(scope="module")
def site(make_site) -> Site:
    """A cluster of its own, with short elections: these rolls are not about their length."""
    site = make_site(
        "fall",
        ports={"client": 5379, "peer": 5380},
        directories={"bin": "/opt/etcd-fall"},
        etcd={"heartbeat_interval_ms": 50, "election_timeout_ms": 500},
        systemd={"start_timeout_s": 15},
    )
    site.version = "3.5.16"
    site.apply()
    assert site.deploy().outcome == "done"
    return site


def current(site: Site) -> dict[str, str]:
    return site.everywhere(
        f"readlink {site.cluster.config_dir}/current; sha256sum < /etc/systemd/system/{site.cluster.unit}"
    )


def test_a_release_that_does_not_start_is_put_back(site: Site) -> None:
    """The second follower's new binary is unusable: it alone is put back, the leader is not touched."""
    site.apply(version=NEW)
    first, broken, leader = members(site.plan())
    before, generations = site.watch.restarts(), current(site)
    binary = f"/opt/etcd-fall/{NEW}/etcd"

    def break_it(step, deploy) -> None:
        if (step.host, step.name) == (broken, "stop-member"):
            site.shell(
                broken, f"cp -a {binary} {binary}.kept && printf '#!/bin/false\\n' > {binary}"
            )

    with pytest.raises(RolledBack) as failure:
        site.deploy(before_step=break_it)
    assert broken in str(failure.value)
    assert failure.value.next_step
    assert site.versions() == {first: NEW, broken: "3.5.16", leader: "3.5.16"}
    site.require_healthy()
    after = site.watch.restarts()
    assert after[leader] == before[leader]
    assert current(site)[broken] == generations[broken]
    assert site.shell(broken, f"systemctl show -P ActiveState {site.cluster.unit}") == "active\n"
    # While the cause is there, the next run ends the same way, and still nobody else is touched.
    with pytest.raises((RolledBack, Refused)):
        site.deploy()
    again = site.watch.restarts()
    assert (again[first], again[leader]) == (after[first], after[leader])
    site.require_healthy()
    site.shell(broken, f"mv -f {binary}.kept {binary}")
    assert site.deploy().outcome == "done"
    assert site.versions() == dict.fromkeys(site.hosts, NEW)
    assert site.watch.restarts()[first] == after[first]
    site.require_healthy()
    assert site.plan().kind == "nothing"


def test_a_member_that_starts_and_dies_again_is_put_back(site: Site) -> None:
    """It says that it serves and ends a moment later: seen while it is waited for."""
    site.apply(etcd=TUNED)
    first, *others = members(site.plan())
    before, generations = site.watch.restarts(), current(site)
    unit = site.cluster.unit

    def kill_it(step, deploy) -> None:
        if (step.host, step.name) == (first, "await-member") and not killed:
            killed.append(site.shell(first, f"kill -KILL $(systemctl show -P MainPID {unit})"))

    killed: list[str] = []
    with pytest.raises(RolledBack):
        site.deploy(before_step=kill_it)
    after = site.watch.restarts()
    assert {host: after[host] for host in others} == {host: before[host] for host in others}
    assert current(site) == generations
    site.require_healthy()
    assert site.deploy().outcome == "done"
    site.require_healthy()


def test_a_create_that_fails_is_put_back_everywhere_and_can_be_run_again(make_site) -> None:
    """With the log on a directory of its own, which etcd has to make and rename by itself."""
    site = make_site(
        "young",
        ports={"client": 6379, "peer": 6380},
        directories={"bin": "/opt/etcd-young", "wal": "/srv/wal/young"},
        etcd={"heartbeat_interval_ms": 50, "election_timeout_ms": 500},
        systemd={"start_timeout_s": 15},
    )
    site.version = "3.5.16"
    site.apply()
    broken = site.hosts[1]
    binary = "/opt/etcd-young/3.5.16/etcd"

    def break_it(step, deploy) -> None:
        if (step.host, step.name) == (broken, "form-member"):
            site.shell(
                broken, f"cp -a {binary} {binary}.kept && printf '#!/bin/false\\n' > {binary}"
            )

    with pytest.raises(RolledBack):
        site.deploy(before_step=break_it)
    left = site.everywhere(
        f"systemctl is-active {site.cluster.unit}; ls -d {site.cluster.data_dir}/member.aside-*; "
        f"ls {site.cluster.data_dir}/member 2>&1 | grep -c . || true"
    )
    assert all("inactive" in told or "failed" in told for told in left.values()), left
    assert "member.aside-" in left[site.hosts[0]]
    site.shell(broken, f"mv -f {binary}.kept {binary}")
    assert site.deploy().outcome == "done"
    site.require_healthy()
    assert all(".wal" in told for told in site.everywhere("ls /srv/wal/young/wal").values())
    assert site.plan().kind == "nothing"
