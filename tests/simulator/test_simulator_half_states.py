"""Half-states of one member of three: each is finished by a deploy, or refused with the command that helps.

What a state is, is told by the host alone; on real hosts: tests/scenarios/test_scenario_08_half_states.py.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from quoracy.errors import Refused
from quoracy.etcd.deploy import EtcdDeploy
from quoracy.hosts.machine import GuardFacts
from quoracy.operation.guard import REACH
from quoracy.operation.step import Step
from tests.scenarios.controller_site import MIDDLE, NEW
from tests.scenarios.plan_reading import advice
from tests.simulator.site import SimulatedSite

GONE: dict[str, Any] = {
    "releases": frozenset(),
    "staged": frozenset(),
    "current": "",
    "certificates": "",
    "config_id": "",
    "data_id": "",
    "log": "",
    "runs": "",
    "enabled": False,
}
OTHER = "1234567890abcdef"


@pytest.fixture(scope="module")
def template(make_site: Callable[..., SimulatedSite]) -> SimulatedSite:
    site = make_site("half")
    site.apply(version=MIDDLE)
    assert site.deploy().outcome == "done"
    return site


@pytest.fixture
def half(template: SimulatedSite, tmp_path: Path) -> SimulatedSite:
    """A copy of the cluster that the test may spoil."""
    place = tmp_path / "copy"
    shutil.copytree(template.place, place)
    return replace(template, place=place, world=place / "hosts.pickle")


def alter(site: SimulatedSite, host: str, **changes: Any) -> None:
    with site.simulated.change() as state:
        index = state.setting.index(host)
        state.become(state.world.put(index, replace(state.world.hosts[index], **changes)))


@pytest.mark.parametrize(
    ("state", "restarted"),
    [
        ({"runs": ""}, True),
        ({"runs": "", "failed": True}, True),
        ({"enabled": False}, False),
        ({"runs": "", "enabled": False}, True),
        ({"runs": "", "current": ""}, True),
        ({"runs": "", "current": "", "staged": frozenset()}, True),
        ({"runs": "", "current": "", "staged": frozenset(), "releases": frozenset()}, True),
    ],
    ids=[
        "down",
        "failed",
        "disabled",
        "down and disabled",
        "no unit",
        "no files",
        "no release",
    ],
)
@pytest.mark.parametrize("version", [MIDDLE, NEW])
def test_it_is_finished(half: SimulatedSite, state, restarted: bool, version: str) -> None:
    host = half.hosts[1]
    half.apply(version=version)
    alter(half, host, **state)
    before = half.starts()
    assert half.deploy().outcome == "done"
    half.require_healthy()
    assert half.versions() == dict.fromkeys(half.hosts, version)
    assert all(one.enabled for one in half.simulated.look().world.hosts)
    touched = {name for name in half.hosts if half.starts()[name] != before[name]}
    assert touched == (set(half.hosts) if version == NEW else {host} if restarted else set())
    assert half.deploy().outcome == "nothing_to_do"


@pytest.mark.parametrize(
    ("state", "command"),
    [
        ({"runs": "", "log": "", "data_id": ""}, "not built yet"),
        ({"runs": "", "log": ""}, "not built yet"),
        (GONE, "ot built yet"),
        ({"runs": "", "data_id": OTHER, "log": OTHER}, "directories.data"),
        ({"runs": "", "data_id": OTHER, "log": OTHER, "config_id": OTHER}, ""),
    ],
    ids=["wiped", "log lost", "wiped host", "foreign data", "of another cluster"],
)
@pytest.mark.parametrize("version", [MIDDLE, NEW])
def test_it_is_refused(half: SimulatedSite, state, command: str, version: str) -> None:
    half.apply(version=version)
    alter(half, half.hosts[1], **state)
    before = half.traces()
    with pytest.raises(Refused) as refusal:
        half.deploy()
    assert refusal.value.next_step
    assert command in advice(half.plan())
    assert half.traces() == before


def test_a_cluster_that_is_down_is_started_as_it_was_and_changed_by_the_next_run(
    half: SimulatedSite,
) -> None:
    half.apply(version=NEW)
    half.stop(*half.hosts)
    report = half.deploy()
    assert (report.outcome, report.plan.kind) == ("done", "start")
    assert half.versions() == dict.fromkeys(half.hosts, MIDDLE)
    assert half.deploy().plan.kind == "change"
    assert half.versions() == dict.fromkeys(half.hosts, NEW)
    half.require_healthy()


@pytest.mark.parametrize("everywhere", [False, True], ids=["one host", "all hosts"])
@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"old_data": "/var/lib/etcd/old/member/snap"}, "ForeignData"),
        ({"log": OTHER, "old_data": "/var/lib/etcd/old/member/wal"}, "ForeignData"),
        ({"data_id": OTHER, "old_data": "/var/lib/etcd/old/member/snap"}, "ForeignData"),
        ({"stranger": "app.db"}, "DirectoryInUse"),
    ],
    ids=["database", "log", "our mark", "somebody else's"],
)
def test_a_create_leaves_what_lies_there_alone(
    make_site: Callable[..., SimulatedSite], state, reason: str, everywhere: bool
) -> None:
    site = make_site("old")
    for host in site.hosts if everywhere else site.hosts[1:2]:
        alter(site, host, **state)
    before = site.traces()
    with pytest.raises(Refused):
        site.deploy()
    assert reason in {verdict.reason for verdict in site.plan().verdicts if verdict.stops}
    assert site.traces() == before
    assert site.pinned_id() is None


def test_a_generation_that_is_edited_before_the_stop_takes_no_member_down(
    half: SimulatedSite,
) -> None:
    half.apply(version=NEW)
    victim, before = half.hosts[1], half.starts()

    def edit(step: Step, _deploy: EtcdDeploy) -> None:
        if (step.name, step.host) == ("stop-member", victim):
            hosts = dict(zip(half.hosts, half.simulated.look().world.hosts, strict=True))
            alter(half, victim, spoiled=hosts[victim].staged - {hosts[victim].current})

    with pytest.raises(Refused, match="not what was planned"):
        half.deploy(before_step=edit)
    half.require_healthy()
    assert half.starts()[victim] == before[victim]
    assert half.deploy().outcome == "done"
    assert half.versions() == dict.fromkeys(half.hosts, NEW)
    half.require_healthy()


def test_a_generation_in_use_that_was_edited_is_put_right_without_a_restart(
    half: SimulatedSite,
) -> None:
    victim, before = half.hosts[1], half.starts()
    alter(half, victim, spoiled=frozenset({half.current()[victim]}))
    assert half.plan().kind == "change"
    assert half.deploy().outcome == "done"
    assert half.starts() == before
    assert half.deploy().outcome == "nothing_to_do"


def numbers(site: SimulatedSite) -> dict[str, int]:
    return {name: guard.fence for name, guard in site.simulated.look().fences.items()}


def noted(site: SimulatedSite, host: str, number: int) -> None:
    with site.simulated.change() as state:
        state.fences[host] = GuardFacts("root@elsewhere:9:ff", number, 0)


@pytest.mark.parametrize("beyond", [REACH + 100, 10**15 - 1])
def test_a_number_beyond_reason_is_refused_with_its_host_and_raises_no_other(
    half: SimulatedSite, beyond: int
) -> None:
    host = half.hosts[1]
    half.apply(version=NEW)
    noted(half, host, beyond)
    before = numbers(half)
    plan = half.plan()
    (verdict,) = (one for one in plan.verdicts if one.stops)
    assert (verdict.reason, verdict.where) == ("NumberBeyondReason", host)
    assert f"quoracy lease renumber half {host}" in advice(plan)
    with pytest.raises(Refused):
        half.deploy()
    assert numbers(half) == before


def test_a_number_that_is_only_ahead_is_followed_on_its_host_alone(half: SimulatedSite) -> None:
    first, host, third = half.hosts
    half.apply(version=NEW)
    noted(half, host, 500_000)
    assert half.deploy().outcome == "done"
    after = numbers(half)
    assert after[host] == 500_001
    assert after[first] == after[third] < 10
    half.apply(version=NEW, etcd={"heartbeat_interval_ms": 120})
    half.deploy_killed("switch-generation", host, "after")
    assert half.plan().kind == "change", (
        "who was killed is known by name, whatever its number there"
    )
    assert half.deploy().outcome == "done"
    assert numbers(half)[host] > 500_001
