"""Directories that a create finds, on real hosts: an app's are left alone, empty mounts are taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from quoracy.errors import Refused, RolledBack
from quoracy.operation.step import Step
from tests.scenarios.plan_reading import reasons
from tests.scenarios.scenario_site import MIDDLE, Site

pytestmark = pytest.mark.lab

QUICK = {"heartbeat_interval_ms": 50, "election_timeout_ms": 500}
DATA, LOG = "/srv/places/data", "/srv/places/log"
MakeSite = Callable[..., Site]


@pytest.fixture
def site(make_site: MakeSite) -> Iterator[Site]:
    site = make_site(
        "places",
        ports={"client": 7379, "peer": 7380},
        directories={"data": DATA, "wal": LOG, "bin": "/opt/etcd-places"},
        etcd=QUICK,
        systemd={"start_timeout_s": 15},
    )
    site.version = MIDDLE
    site.apply()
    yield site
    site.raze()
    site.everywhere(
        f"umount {DATA} {LOG} 2>/dev/null; rm -rf /srv/places /opt/etcd-places; systemctl daemon-reload"
    )


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (f"mkdir -p {DATA}; touch {DATA}/app.db", "DirectoryInUse"),
        (f"mkdir -p {LOG}; touch {LOG}/app.log", "DirectoryInUse"),
        (f"mkdir -p {LOG}/wal; touch {LOG}/wal/app.log", "ForeignData"),
        (f"mkdir -p {DATA}; chown nobody {DATA}", "DirectoryOwned"),
        (f"mkdir -p {LOG}; chown nobody {LOG}", "DirectoryOwned"),
        ("mkdir -p /srv/places; chown nobody /srv/places", "DirectoryOwned"),
        (f"mkdir -p /srv/places; touch {DATA}", "DirectoryInUse"),
        ("mkdir -p /opt/etcd-places; chown nobody /opt/etcd-places", "DirectoryOwned"),
        ("mkdir -p /etc/etcd/places; touch /etc/etcd/places/app.conf", "DirectoryInUse"),
        ("mkdir -p /etc/etcd/places/tls; touch /etc/etcd/places/tls/site.key", "DirectoryInUse"),
    ],
)
def test_what_is_somebody_else_s_stays_as_it_is(site: Site, made: str, reason: str) -> None:
    host = site.hosts[1]
    site.shell(host, made)
    listed = "find /srv /opt /etc/etcd /etc/passwd -printf '%p %u %g %m %s %T@ %C@\\n' | sort"
    before = site.everywhere(listed)
    with pytest.raises(Refused):
        site.deploy()
    assert site.everywhere(listed) == before
    assert reasons(site.plan()) == {reason}


def test_empty_mounts_are_given_to_etcd_and_a_withdrawn_create_can_be_run_again(site: Site) -> None:
    """Each a file system of its own, with what mkfs leaves in one."""
    for place in (DATA, LOG):
        site.everywhere(
            f"mkdir -p {place}; mount -t tmpfs -o size=700m,mode=0755 none {place}; mkdir {place}/lost+found"
        )
    broken = site.hosts[1]

    def break_it(step: Step, deploy: object) -> None:
        if (step.host, step.name) == (broken, "form-member"):
            site.break_release(broken, MIDDLE)

    with pytest.raises(RolledBack):
        site.deploy(before_step=break_it)
    first = site.shell(site.hosts[0], f"ls -d {DATA}/member.aside-* {LOG}/wal*")
    assert first.count("member.aside-") == 1
    assert f"{LOG}/wal.aside-" in first
    site.mend_release(broken, MIDDLE)
    assert not site.plan().refused
    assert site.deploy().outcome == "done"
    site.require_healthy()
    assert site.plan().kind == "nothing"
    owners = site.everywhere(f"stat -c %U {DATA} {LOG}")
    assert set(owners.values()) == {"etcd\netcd\n"}
    # What the failed create had written is still there, beside what the second one made.
    assert set(site.shell(site.hosts[0], f"ls {DATA} {LOG}").split()) >= {"member", "wal"}
    assert site.shell(site.hosts[0], f"ls -d {DATA}/member.aside-*").count("\n") == 1
