"""Scenarios for both worlds: deploy again, change settings, upgrade."""

from __future__ import annotations

import pytest

from quoracy.errors import Refused
from tests.scenarios.controller_site import MIDDLE, NEW, OLD, ControllerSite
from tests.scenarios.plan_reading import members, reasons, step_names, stored_files


def roll(site: ControllerSite, *, load: bool = False) -> None:
    """Deploy a change, and require every member restarted once, one by one, leader last, backup first."""
    leader, before, snapshots = site.leader(), site.starts(), stored_files(site.backups)
    with site.watched(load=load) as watch:
        report = site.deploy()
    assert report.outcome == "done"
    assert sorted(watch.order()) == sorted(site.hosts)
    assert watch.order()[-1] == leader == members(report.plan)[-1]
    watch.require_one_at_a_time()
    watch.require_nothing_lost()
    (new,) = stored_files(site.backups).keys() - snapshots.keys()
    watch.require_backup_first(stored_files(site.backups)[new])
    after = site.starts()
    assert all(before[host] != after[host] for host in site.hosts)
    site.require_healthy()
    assert site.deploy().outcome == "nothing_to_do"


class AgainScenario:
    """On a cluster that was just created."""

    def test_a_second_deploy_touches_nothing(self, site: ControllerSite) -> None:
        before, snapshots = site.traces(), stored_files(site.backups)
        report = site.deploy()
        assert report.outcome == "nothing_to_do"
        assert report.plan.kind == "nothing"
        assert site.traces() == before
        assert stored_files(site.backups) == snapshots

    def test_a_changed_setting_restarts_three_members_leader_last(
        self, site: ControllerSite
    ) -> None:
        site.apply(etcd={"heartbeat_interval_ms": 120})
        roll(site)

    def test_changed_systemd_tuning_restarts_three_members(self, site: ControllerSite) -> None:
        site.apply(systemd={"nice": 5})
        roll(site)

    def test_changed_backup_settings_restart_nothing(self, site: ControllerSite) -> None:
        before = site.traces()
        site.apply(backup={"directory": str(site.place / "elsewhere")})
        report = site.deploy()
        assert report.outcome == "nothing_to_do"
        assert site.traces() == before
        site.back()

    def test_what_only_the_first_start_reads_restarts_nothing(self, site: ControllerSite) -> None:
        assert step_names(site.plan()) == []


class UpgradeScenario:
    """A cluster of etcd 3.4 goes up by two versions, and back by none over a minor."""

    @pytest.fixture(autouse=True)
    def neighbour_untouched(self) -> None:
        """Where clusters share hosts, the others are not touched."""

    @pytest.mark.parametrize(("before", "after"), [(OLD, MIDDLE), (MIDDLE, NEW)])
    def test_an_upgrade_under_load_loses_nothing(
        self, site: ControllerSite, before: str, after: str
    ) -> None:
        site.apply(version=before)
        assert site.plan().kind == "nothing"
        site.apply(version=after)
        roll(site, load=True)
        assert site.versions() == dict.fromkeys(site.hosts, after)

    @pytest.mark.parametrize("version", [OLD, "3.4.45"])
    def test_the_way_back_over_a_minor_is_refused(self, site: ControllerSite, version: str) -> None:
        traces = site.traces()
        plan = site.plan(version=version)
        assert reasons(plan) == {"DowngradeRefused"}
        with pytest.raises(Refused):
            site.deploy(version=version)
        assert site.traces() == traces

    def test_the_next_minor_is_refused_below_its_floor(self, site: ControllerSite) -> None:
        assert "UpgradeFloor" in reasons(site.plan(version="3.6.14"))

    def test_the_way_back_within_a_minor_is_open(self, site: ControllerSite) -> None:
        plan = site.plan(version=MIDDLE)
        assert not plan.refused
        assert sorted(members(plan)) == sorted(site.hosts)
