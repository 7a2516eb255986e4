"""Scenario for both worlds: every cell of the requirement's matrix, where a cluster is and where none is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from quoracy.errors import Refused, UsageError
from quoracy.etcd.params import Action, DeployOption
from tests.scenarios.controller_site import MIDDLE, ControllerSite
from tests.scenarios.plan_reading import advice, members, reasons, step_names, stored_files

TUNED = {"heartbeat_interval_ms": 125}
CREATES = [{"action": Action.CREATE}, {"option": DeployOption.FORCE_CREATE}]
CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "version": ({"version": MIDDLE}, "version"),
    "config": ({"etcd": TUNED}, "heartbeat-interval"),
    "unit": ({"systemd": {"nice": 3}}, "unit Nice"),
}


def require_refused(site: ControllerSite, reason: str, *, advice: str = "", **wanted: Any) -> None:
    """It is refused for this reason, and the user is told what to do."""
    with pytest.raises(Refused) as told:
        site.deploy(**wanted)
    assert f"[{reason}]" in told.value.what
    assert advice in told.value.next_step


class MatrixScenario:
    """No cell touches a host."""

    @pytest.fixture(scope="class")
    @classmethod
    def absent(cls, make_site) -> ControllerSite:
        """A cluster that no host carries, on the hosts of the one that is there."""
        return make_site("other", ports={"client": 3379, "peer": 3380})

    @pytest.fixture(autouse=True)
    def untouched(self, site: ControllerSite) -> Iterator[None]:
        before, snapshots = site.traces(), stored_files(site.backups)
        yield
        site.back()
        assert site.traces() == before
        assert stored_files(site.backups) == snapshots

    # -------------------------------------------------------------- nothing there

    @pytest.mark.parametrize("wanted", [{}, *CREATES])
    def test_where_nothing_is_create_and_deploy_create(self, absent, wanted) -> None:
        plan = absent.plan(**wanted)
        assert not plan.refused
        assert plan.kind == "create"
        assert [step for _, step in plan.steps if step.name == "form-member"]

    @pytest.mark.parametrize(
        "wanted", [{"action": Action.UPGRADE}, {"option": DeployOption.NO_UPGRADE}]
    )
    def test_where_nothing_is_upgrade_and_report_are_refused(self, absent, wanted) -> None:
        require_refused(absent, "NoCluster", advice="`quoracy etcd-deploy other`", **wanted)

    # -------------------------------------------------------------- there

    @pytest.mark.parametrize(
        "change", [{}, {"etcd": TUNED}, {"systemd": {"nice": 3}}, {"version": MIDDLE}]
    )
    @pytest.mark.parametrize("wanted", CREATES)
    def test_what_is_there_is_not_created(self, site, change, wanted) -> None:
        site.apply(**change)
        require_refused(site, "ClusterExists", advice="`quoracy etcd-deploy scene`", **wanted)

    @pytest.mark.parametrize(
        "wanted", [{"action": Action.UPGRADE}, {}, {"option": DeployOption.NO_UPGRADE}]
    )
    def test_without_changes_nothing_is_to_be_done(self, site, wanted) -> None:
        report = site.deploy(**wanted)
        assert report.outcome == "nothing_to_do"
        assert (report.plan.changes, report.plan.before, report.plan.groups) == ((), (), ())

    @pytest.mark.parametrize("kind", CHANGES)
    @pytest.mark.parametrize("wanted", [{"action": Action.UPGRADE}, {}])
    def test_changes_are_rolled_after_a_backup_leader_last(self, site, kind, wanted) -> None:
        change, named = CHANGES[kind]
        site.apply(**change)
        plan = site.plan(**wanted)
        assert not plan.refused
        assert [step.name for step in plan.before] == ["take-snapshot"]
        assert plan.before[0].host != site.leader()
        assert sorted(members(plan)) == sorted(site.hosts)
        assert members(plan)[-1] == site.leader()
        assert {(c.host, c.what) for c in plan.changes} == {(host, named) for host in site.hosts}
        for host in site.hosts:
            own = [name for name in step_names(plan, host) if name != "take-snapshot"]
            assert own[-4:] == ["stop-member", "switch-generation", "start-member", "await-member"]

    @pytest.mark.parametrize("kind", CHANGES)
    def test_no_upgrade_reports_changes_and_applies_none(self, site, kind: str) -> None:
        change, named = CHANGES[kind]
        site.apply(**change)
        report = site.deploy(option=DeployOption.NO_UPGRADE)
        assert report.outcome == "dry_run"
        assert {c.what for c in report.plan.changes} == {named}

    # -------------------------------------------------------------- hosts differ from members

    @pytest.mark.parametrize("wanted", [{"action": Action.UPGRADE}, {}])
    @pytest.mark.parametrize("numbers", [(1, 2, 3, 4), (1, 2, 4), (1, 2)], ids=str)
    def test_other_hosts_than_members_are_refused_with_the_command_named(
        self, site, numbers: tuple[int, ...], wanted
    ) -> None:
        site.apply(hosts=[site.host_entry(number) for number in numbers])
        plan = site.plan(**wanted)
        assert "TopologyDiffers" in reasons(plan)
        assert "is not built yet" in advice(plan)
        named = "\n".join(
            f"{v.where} {v.message}" for v in plan.verdicts if v.reason == "TopologyDiffers"
        )
        if 4 in numbers:
            assert site.host_entry(4)["name"] in named
        if 4 not in numbers:
            assert site.host_entry(3)["name"] in named

    def test_other_hosts_than_members_are_not_created(self, site) -> None:
        site.apply(hosts=[site.host_entry(number) for number in (1, 2, 3, 4)])
        require_refused(site, "ClusterExists", action=Action.CREATE)

    def test_another_peer_address_is_refused(self, site) -> None:
        hosts = [site.host_entry(number) for number in (1, 2, 3)]
        hosts[0]["peer_address"] = "198.51.100.250"
        site.apply(hosts=hosts)
        plan = site.plan()
        assert reasons(plan) == {"PlacesDiffer"}
        assert "198.51.100.250" in "".join(v.message for v in plan.verdicts)

    # -------------------------------------------------------------- versions

    @pytest.mark.parametrize(
        ("version", "reason"),
        [
            ("3.6.14", "MinorSkipped"),
            ("3.7.1", "MinorSkipped"),
            ("3.5.1", "VersionKnownBad"),
            ("3.3.25", "VersionUnsupported"),
        ],
    )
    def test_versions_that_may_not_follow_are_refused(self, site, version, reason) -> None:
        require_refused(site, reason, version=version, action=Action.UPGRADE)

    def test_a_bad_version_can_be_allowed(self, site) -> None:
        plan = site.plan(version="3.5.1", allow_bad_version=True)
        # Its archive need not be there.
        assert reasons(plan) <= {"ReleaseUnusable"}
        assert plan.kind == "change"

    def test_a_key_that_the_version_does_not_know_is_a_users_mistake(self, site) -> None:
        with pytest.raises(UsageError):
            site.plan(version="nonsense")
