"""Fixtures of the scenarios: one cluster of three per module, on the session's practice hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from scenario_site import Site

from quoracy.lab.lab import Lab

MakeSite = Callable[..., Site]


@pytest.fixture(scope="module")
def make_site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeSite]:
    """Sites of this module; what they left on the hosts is taken off in the end."""
    sites: list[Site] = []

    def make(name: str = "scene", hosts: tuple[int, ...] = (1, 2, 3), **settings: Any) -> Site:
        names = tuple(f"{lab.name}-{number}" for number in hosts)
        site = Site(lab, tmp_path_factory.mktemp(name), name, names, settings=settings)
        site.apply()
        sites.append(site)
        return site

    yield make
    for site in sites:
        site.raze()


@pytest.fixture(scope="module")
def site(make_site: MakeSite) -> Site:
    """A cluster of three on the lab's first hosts, etcd 3.4.23."""
    site = make_site()
    assert site.deploy().outcome == "done"
    return site
