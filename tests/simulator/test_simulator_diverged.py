"""Members that hold different data, and what believes none of them. On real hosts: test_scenario_11_diverged.py."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from quoracy.errors import Refused
from tests.scenarios.controller_site import MIDDLE, NEW
from tests.scenarios.plan_reading import stored_files
from tests.simulator.site import SimulatedSite


@pytest.fixture(scope="module")
def template(make_site: Callable[..., SimulatedSite]) -> SimulatedSite:
    site = make_site("apart")
    site.apply(version=MIDDLE)
    assert site.deploy().outcome == "done"
    return site


@pytest.fixture
def apart(template: SimulatedSite, tmp_path: Path) -> SimulatedSite:
    """A copy of the cluster whose second member has made three changes by itself."""
    place = tmp_path / "copy"
    shutil.copytree(template.place, place)
    site = replace(template, place=place, world=place / "hosts.pickle")
    diverge(site, site.hosts[1])
    return site


def diverge(site: SimulatedSite, host: str, **changes: Any) -> None:
    with site.simulated.change() as state:
        index = state.setting.index(host)
        other = replace(state.world.hosts[index], written=3, **changes)
        state.become(state.world.put(index, other))


def test_a_cluster_as_wanted_is_not_called_well(apart: SimulatedSite) -> None:
    plan = apart.plan()
    assert plan.kind == "nothing"
    assert [verdict.reason for verdict in plan.verdicts if verdict.stops] == ["Diverged"]
    with pytest.raises(Refused, match="sim-1 at revision 100, sim-3 at revision 100"):
        apart.deploy()


def test_no_snapshot_is_taken_and_nothing_is_changed(apart: SimulatedSite) -> None:
    apart.apply(version=NEW)
    starts, stored = apart.starts(), stored_files(apart.backups)
    with pytest.raises(Refused, match="sim-2 was at revision 103"):
        apart.deploy()
    assert apart.starts() == starts
    assert apart.versions() == dict.fromkeys(apart.hosts, MIDDLE)
    assert stored_files(apart.backups) == stored
    assert apart.simulated.look().broken_laws == []


def test_a_member_that_is_down_is_not_compared_and_does_not_stop_the_others(
    apart: SimulatedSite,
) -> None:
    """It says nothing of its data; once it runs again it is compared before the next snapshot."""
    apart.apply(version=NEW)
    diverge(apart, apart.hosts[1], runs="")
    assert apart.deploy().outcome == "done"
    assert [v.reason for v in apart.plan().verdicts if v.stops] == ["Diverged"]
