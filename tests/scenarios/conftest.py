"""Fixtures of the scenarios: one cluster of three for all of them, on the session's practice hosts.

The files are numbered because they share that cluster: it is created in 01, and upgraded in 04.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lab.lab import Lab
from tests.scenarios.argv_sampler import ArgvSampler
from tests.scenarios.scenario_site import Site

MakeSite = Callable[..., Site]


@contextmanager
def _sites(lab: Lab, places: pytest.TempPathFactory) -> Iterator[MakeSite]:
    """Clusters with a controller of their own; what they left on the hosts is taken off in the end."""
    sites: list[Site] = []

    def make(name: str = "scene", hosts: tuple[int, ...] = (1, 2, 3), **settings: Any) -> Site:
        names = tuple(f"{lab.name}-{number}" for number in hosts)
        site = Site(lab, places.mktemp(name), name, names, settings=settings)
        site.raze()  # a session that was cut off may have left something behind
        site.apply()
        sites.append(site)
        return site

    try:
        yield make
    finally:
        for site in sites:
            site.raze()


@pytest.fixture(scope="module")
def make_site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeSite]:
    """Clusters of one module: the hosts' disks do not hold those of all modules."""
    with _sites(lab, tmp_path_factory) as make:
        yield make


@pytest.fixture(scope="session")
def created(
    lab: Lab, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Site, ArgvSampler]]:
    """The cluster of three that all scenarios share, and what was seen while it was created."""
    with _sites(lab, tmp_path_factory) as make:
        site = make()
        # Hosts need no Python (design, law 10); there is one for services that are written in it.
        site.everywhere("mv /usr/bin/python3.11 /usr/bin/python3.11.away")
        try:
            with ArgvSampler() as sampler:
                report = site.deploy()
        finally:
            site.everywhere("mv /usr/bin/python3.11.away /usr/bin/python3.11")
        assert report.outcome == "done"
        assert report.plan.kind == "create"
        yield site, sampler


@pytest.fixture(scope="session")
def site(created: tuple[Site, ArgvSampler]) -> Site:
    """A cluster of three on the lab's first hosts: etcd 3.4.23 until it is upgraded."""
    return created[0]


@pytest.fixture
def settled(site: Site) -> Iterator[None]:
    """Each test begins and ends with the spec as it runs, and three healthy members."""
    site.back()
    yield
    site.back()
    site.require_healthy()
    assert site.plan().kind == "nothing"
