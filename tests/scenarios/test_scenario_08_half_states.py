"""Half-states on real hosts: each is finished by a deploy, or refused with the command that can."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from quoracy.errors import CommandFailed, Refused
from tests.scenarios.plan_reading import advice, members, reasons
from tests.scenarios.scenario_site import Site

pytestmark = pytest.mark.lab

QUICK = {"heartbeat_interval_ms": 50, "election_timeout_ms": 500}


@pytest.fixture(scope="module")
def half(make_site) -> Site:
    site = make_site("half", ports={"client": 9379, "peer": 9380}, etcd=QUICK)
    site.version = "3.5.16"
    site.apply()
    assert site.deploy().outcome == "done"
    return site


@contextmanager
def moved_aside(site: Site, host: str, *paths: str) -> Iterator[None]:
    """Stop the member and take paths away, as a wiped disk would; put them back in the end."""
    unit = site.cluster.unit
    there = " ".join(paths)
    site.shell(host, f"systemctl stop {unit}; for p in {there}; do mv -T $p $p.kept; done")
    try:
        yield
    finally:
        site.shell(
            host,
            f"for p in {there}; do rm -rf $p; mv -T $p.kept $p; done; systemctl daemon-reload; "
            f"systemctl reset-failed {unit}; systemctl start {unit}",
        )
        site.require_healthy()


def refused(site: Site) -> tuple[set[str], str]:
    """Why a deploy is refused and what it advises; no running member is touched."""
    before = site.watch.restarts()
    with pytest.raises(Refused):
        site.deploy()
    # What cannot start is tried again and again by systemd.
    after = site.watch.restarts()
    assert {h: p for h, p in after.items() if p.pid} == {h: p for h, p in before.items() if p.pid}
    plan = site.plan()
    return reasons(plan), advice(plan)


def test_a_member_without_its_log_neither_starts_nor_is_restarted(half: Site) -> None:
    host, unit = half.hosts[1], half.cluster.unit
    with moved_aside(half, host, f"{half.cluster.data_dir}/member"):
        half.shell(host, f"timeout 20 systemctl start {unit} || true")
        told = half.shell(host, f"journalctl -u {unit} -n 20 -o cat --no-pager")
        assert "quoracy: refusing to start member" in told
        why, next_step = refused(half)
        assert why == {"LogMissing"}
        assert "is not built yet" in next_step


def test_a_wiped_host_that_is_still_a_member_is_never_filled_anew(half: Site) -> None:
    host, cluster = half.hosts[2], half.cluster
    unit = f"/etc/systemd/system/{cluster.unit}"
    with moved_aside(half, host, cluster.data_dir, cluster.config_dir, unit):
        half.shell(host, "systemctl daemon-reload")
        why, next_step = refused(half)
        assert why == {"MemberWiped"}
        assert "is not built yet" in next_step


def test_data_whose_configuration_is_gone(half: Site) -> None:
    host, cluster = half.hosts[0], half.cluster
    with moved_aside(half, host, cluster.config_dir):
        why, next_step = refused(half)
        assert why == {"ConfigurationLost"}
        assert "is not built yet" in next_step


def test_data_of_another_cluster(half: Site) -> None:
    host, marker = half.hosts[0], f"{half.cluster.data_dir}/member/quoracy-cluster-id"
    kept = half.shell(host, f"cat {marker}").strip()
    half.shell(host, f"echo feedfeed > {marker}")
    why, _ = refused(half)
    half.shell(host, f"echo {kept} > {marker}")
    assert why == {"ForeignData"}
    assert half.plan().kind == "nothing"


def test_a_member_that_was_added_and_never_started(half: Site) -> None:
    added = add_member(half, "https://198.51.100.9:9380")
    try:
        why, next_step = refused(half)
    finally:
        half.etcdctl(half.hosts[0], "member", "remove", f"{added['member']['ID']:x}")
    assert why == {"NeverStarted"}
    assert "is not built yet" in next_step


def add_member(site: Site, peer_url: str) -> Any:
    """Etcd refuses it while any member has been connected for less than five seconds."""
    for _ in range(20):
        try:
            return site.etcdctl(
                site.hosts[0], "member", "add", "new", "--learner", f"--peer-urls={peer_url}"
            )
        except CommandFailed:
            time.sleep(1)
    raise AssertionError("no member could be added")


def test_data_without_a_unit_gets_it_back_and_nobody_else_is_restarted(half: Site) -> None:
    host, unit = half.hosts[1], half.cluster.unit
    before = half.watch.restarts()
    half.shell(
        host,
        f"systemctl disable --now {unit}; rm /etc/systemd/system/{unit}; systemctl daemon-reload",
    )
    assert half.deploy().outcome == "done"
    half.require_healthy()
    after = half.watch.restarts()
    assert [name for name in half.hosts if after[name] != before[name]] == [host]


def test_a_unit_that_would_not_start_at_boot_is_enabled_without_a_restart(half: Site) -> None:
    host, unit = half.hosts[1], half.cluster.unit
    half.shell(host, f"systemctl disable {unit}")
    before = half.watch.restarts()
    assert half.deploy().outcome == "done"
    assert half.watch.restarts() == before
    assert half.shell(host, f"systemctl is-enabled {unit}") == "enabled\n"


def test_other_ports_in_the_spec_are_named_as_what_they_are(half: Site) -> None:
    half.apply(ports={"client": 9479, "peer": 9380})
    why, next_step = refused(half)
    half.back()
    assert why == {"PlacesDiffer"}
    assert "put ports, addresses and directories in the spec back" in next_step
    assert half.plan().kind == "nothing"


def test_quorum_lost_in_the_middle_of_a_roll_is_regained_and_then_the_roll_goes_on(
    half: Site,
) -> None:
    """One member was switched and is down, a second one dies: as they lie on disk, both start."""
    half.apply(etcd={**QUICK, "heartbeat_interval_ms": 60})
    first, second, _ = members(half.plan())
    half.deploy_killed("switch-generation", first, "after")
    half.shell(second, f"systemctl stop {half.cluster.unit}")
    plan = half.plan()
    assert (plan.kind, plan.before) == ("start", ())
    assert half.deploy().outcome == "done"
    half.require_healthy()
    assert half.deploy().plan.kind == "change"
    assert half.plan().kind == "nothing"
