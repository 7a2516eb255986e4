"""Scenarios for both worlds: members that do not come back, killed controllers, two controllers at once."""

from __future__ import annotations

import threading

import pytest

from quoracy.errors import LeaseHeld, Refused, RolledBack
from tests.scenarios.controller_site import MIDDLE, NEW, ControllerSite
from tests.scenarios.plan_reading import members, stored_files

QUICK = {"heartbeat_interval_ms": 50, "election_timeout_ms": 500}


class RollbackScenario:
    """A member that does not come back is put back to what ran before; the others are left alone."""

    @pytest.fixture(scope="class")
    @classmethod
    def site(cls, make_site) -> ControllerSite:
        """A cluster of its own, with short elections: these rolls are not about their length."""
        site = make_site(
            "fall",
            ports={"client": 5379, "peer": 5380},
            directories={"bin": "/opt/etcd-fall"},
            etcd=QUICK,
            systemd={"start_timeout_s": 15},
        )
        site.version = MIDDLE
        site.apply()
        assert site.deploy().outcome == "done"
        return site

    def test_a_release_that_does_not_start_is_put_back(self, site) -> None:
        """The second follower's new binary is unusable: it alone is put back, the leader is not touched."""
        site.apply(version=NEW)
        first, broken, leader = members(site.plan())
        before, generations = site.starts(), site.current()

        def break_it(step, deploy) -> None:
            if (step.host, step.name) == (broken, "stop-member"):
                site.break_release(broken, NEW)

        with pytest.raises(RolledBack) as failure:
            site.deploy(before_step=break_it)
        assert broken in str(failure.value)
        assert failure.value.next_step
        assert site.versions() == {first: NEW, broken: MIDDLE, leader: MIDDLE}
        site.require_healthy()
        after = site.starts()
        assert after[leader] == before[leader]
        assert site.current()[broken] == generations[broken]
        # While the cause is there, the next run ends the same way, and still nobody else is touched.
        with pytest.raises((RolledBack, Refused)):
            site.deploy()
        again = site.starts()
        assert (again[first], again[leader]) == (after[first], after[leader])
        site.require_healthy()
        site.mend_release(broken, NEW)
        assert site.deploy().outcome == "done"
        assert site.versions() == dict.fromkeys(site.hosts, NEW)
        assert site.starts()[first] == after[first]
        site.require_healthy()
        assert site.plan().kind == "nothing"

    def test_a_member_that_starts_and_dies_again_is_put_back(self, site) -> None:
        """It says that it serves and ends a moment later: seen while it is waited for."""
        site.apply(etcd={**QUICK, "heartbeat_interval_ms": 60})
        first, *others = members(site.plan())
        before, generations = site.starts(), site.current()
        killed: list[str] = []

        def kill_it(step, deploy) -> None:
            if (step.host, step.name) == (first, "await-member") and not killed:
                killed.append(first)
                site.kill(first)

        with pytest.raises(RolledBack):
            site.deploy(before_step=kill_it)
        after = site.starts()
        assert {host: after[host] for host in others} == {host: before[host] for host in others}
        assert site.current() == generations
        site.require_healthy()
        assert site.deploy().outcome == "done"
        site.require_healthy()

    @pytest.fixture
    def young(self, make_site) -> ControllerSite:
        """With the log on a directory of its own, which etcd has to make and rename by itself."""
        site = make_site(
            "young",
            ports={"client": 6379, "peer": 6380},
            directories={"bin": "/opt/etcd-young", "wal": "/srv/wal/young"},
            etcd=QUICK,
            systemd={"start_timeout_s": 15},
        )
        site.version = MIDDLE
        site.apply()
        return site

    def test_a_create_that_fails_is_put_back_everywhere_and_can_be_run_again(self, young) -> None:
        broken = young.hosts[1]

        def break_it(step, deploy) -> None:
            if (step.host, step.name) == (broken, "form-member"):
                young.break_release(broken, MIDDLE)

        with pytest.raises(RolledBack):
            young.deploy(before_step=break_it)
        self.require_withdrawn(young)
        young.mend_release(broken, MIDDLE)
        assert young.deploy().outcome == "done"
        young.require_healthy()
        self.require_formed(young)
        assert young.plan().kind == "nothing"

    def require_withdrawn(self, young) -> None:
        """Told by the world: no member runs, and what was young data lies aside."""
        raise NotImplementedError

    def require_formed(self, young) -> None:
        """Told by the world: the members have their logs where they belong."""
        raise NotImplementedError


class KilledScenario:
    """The process that deploys is killed (SIGKILL); run again, it converges."""

    @pytest.fixture(scope="class")
    @classmethod
    def young(cls, make_site) -> ControllerSite:
        """A cluster that may be created, and taken off the hosts again, several times."""
        return make_site(
            "early",
            ports={"client": 8379, "peer": 8380},
            directories={"bin": "/opt/etcd-early"},
            etcd=QUICK,
        )

    # A create in the middle of its start, then rolls; each leaves the cluster to the next one.
    @pytest.mark.parametrize(
        ("step", "when"),
        [
            ("form-member", "after"),
            ("take-snapshot", "before"),
            ("stop-member", "after"),
            ("switch-generation", "after"),
        ],
    )
    def test_killed_it_converges(self, young, step: str, when: str) -> None:
        ways = ["form-member", "take-snapshot", "stop-member", "switch-generation"]
        heartbeat = 51 + ways.index(step)
        young.apply(etcd={**QUICK, "heartbeat_interval_ms": heartbeat})
        plan = young.plan()
        host = next(one.host for _, one in plan.steps if one.name == step)
        stored = stored_files(young.backups)
        assert f"{host} {step}" in young.deploy_killed(step, host, when)
        # Another process: the dead one's lease is taken over at once, on the hosts as well.
        assert young.deploy().outcome == "done"
        assert (stored_files(young.backups).keys() > stored.keys()) == (plan.kind == "change")
        young.require_healthy()
        assert young.deploy().outcome == "nothing_to_do"

    def test_killed_twice_within_a_minute_it_still_converges(self, young) -> None:
        """The second process that dies has not yet told all hosts that it took over from the first."""
        young.apply(etcd={**QUICK, "heartbeat_interval_ms": 95})
        host = next(one.host for _, one in young.plan().steps if one.name == "stop-member")
        young.deploy_killed("stop-member", host, "before")
        young.deploy_killed("take-snapshot", next(s.host for s in young.plan().before), "after")
        assert young.deploy().outcome == "done"
        young.require_healthy()


class TogetherScenario:
    """Two operations on one cluster: one acts, the other is refused, wherever it is started from."""

    @pytest.fixture(scope="class")
    @classmethod
    def ours(cls, make_site) -> ControllerSite:
        site = make_site("twice", ports={"client": 7379, "peer": 7380}, etcd=QUICK)
        assert site.deploy().outcome == "done"
        return site

    @pytest.fixture(scope="class")
    @classmethod
    def theirs(cls, ours, tmp_path_factory: pytest.TempPathFactory) -> ControllerSite:
        """A second controller with a database of its own, which knows the same cluster and CA."""
        return ours.another_controller(tmp_path_factory.mktemp("elsewhere"))

    def test_a_second_deploy_beside_the_first_gets_the_holder_named(self, ours) -> None:
        ours.apply(etcd={**QUICK, "heartbeat_interval_ms": 60})
        refusals: list[LeaseHeld] = []

        def again(step, deploy) -> None:
            if step.name in ("take-snapshot", "stop-member"):
                with pytest.raises(LeaseHeld) as refusal:
                    ours.deploy()
                refusals.append(refusal.value)

        before = ours.starts()
        assert ours.deploy(before_step=again).outcome == "done"
        assert len(refusals) == 4
        assert all(
            "works on it since" in one.what and "quoracy lease show" in one.next_step
            for one in refusals
        )
        after = ours.starts()
        assert all(before[host] != after[host] for host in ours.hosts)
        ours.require_healthy()
        assert ours.plan().kind == "nothing"

    def test_a_second_controller_is_refused_by_the_hosts(self, ours, theirs) -> None:
        """Another process with another database: only the hosts can tell the two apart."""
        for site in (ours, theirs):
            site.apply(etcd={**QUICK, "heartbeat_interval_ms": 70})
        refused: list[str] = []
        one_at_a_time = threading.Lock()

        def from_elsewhere(step, deploy) -> None:
            # Right after the snapshot, the other hosts have not been told of the operation yet.
            with one_at_a_time:
                if step.name == "switch-generation" or (
                    step.name == "stage-generation" and not refused
                ):
                    told = theirs.deploy_elsewhere()
                    assert told.splitlines()[-1].startswith("LeaseHeld"), told
                    refused.append(told)

        with ours.watched() as watch:
            assert ours.deploy(before_step=from_elsewhere).outcome == "done"
        assert len(refused) == 4
        assert all("another operation acted there within the last minute" in one for one in refused)
        assert sorted(watch.order()) == sorted(ours.hosts)
        ours.require_healthy()
        assert theirs.plan().kind == "nothing"
