"""Fixtures of the simulated world; the scenarios' own ones (tests/scenarios/conftest.py) have real hosts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.controller_site import MIDDLE, NEW, OLD
from tests.simulator.archives import pretend_archives
from tests.simulator.site import SimulatedSite


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Counts of what was tried are shown, also when all is well."""

    def write(line: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{line}\n")

    return write


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pretend_archives(tmp_path_factory.mktemp("archives"), OLD, "3.5.1", MIDDLE, NEW)


@pytest.fixture(scope="session")
def make_site(
    archives: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., SimulatedSite]]:
    """Clusters on simulated hosts; no step of any of them may have broken a law in the end."""
    sites: list[SimulatedSite] = []

    def make(
        name: str = "scene", hosts: tuple[int, ...] = (1, 2, 3), **settings: Any
    ) -> SimulatedSite:
        place = tmp_path_factory.mktemp(name)
        site = SimulatedSite(
            place=place,
            name=name,
            hosts=tuple(f"sim-{number}" for number in hosts),
            settings=settings,
            world=place / "hosts.pickle",
            archives=archives,
        )
        site.apply()
        sites.append(site)
        return site

    yield make
    assert [law for site in sites for law in site.simulated.look().broken_laws] == []


@pytest.fixture(scope="session")
def site(make_site: Callable[..., SimulatedSite]) -> SimulatedSite:
    """A cluster of three, as the scenarios share one: etcd 3.4.23 until it is upgraded."""
    site = make_site()
    report = site.deploy()
    assert (report.outcome, report.plan.kind) == ("done", "create")
    return site
