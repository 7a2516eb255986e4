"""The process that deploys is killed before and after every step of a create and of an upgrade; run again, it converges.

Each deploy is a process of its own that kills itself with SIGKILL (`simulator.controllers`). In the
middle of a step, and on real hosts: tests/scenarios/test_scenario_06_killed.py. With five members a
sample of the points is taken; QUORACY_EVERY_CASE=1 takes them all.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.scenarios.controller_site import MIDDLE, NEW
from tests.simulator.site import SimulatedSite

SAMPLE = 16


def sample(points: list[tuple[str, str, str]], count: int, say: Callable[[str], None]) -> None:
    """Leave a sample of the points of a large cluster, and say how to have the same again."""
    if count > 3 and not os.environ.get("QUORACY_EVERY_CASE"):
        seed = int(os.environ.get("QUORACY_SEED", random.randrange(10**6)))
        say(f"{SAMPLE} of {len(points)} kill points, QUORACY_SEED={seed}")
        points[:] = random.Random(seed).sample(points, SAMPLE)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("count", [3, 5])
@pytest.mark.parametrize("operation", ["create", "upgrade"])
def test_killed_before_and_after_every_step_it_converges(
    make_site: Callable[..., SimulatedSite],
    tmp_path: Path,
    operation: str,
    count: int,
    say: Callable[[str], None],
) -> None:
    site = make_site("sweep", hosts=tuple(range(1, count + 1)))
    site.apply(version=MIDDLE)
    if operation == "upgrade":
        assert site.deploy().outcome == "done"
        site.apply(version=NEW)
    shutil.copytree(site.place, tmp_path / "before")
    steps = [(step.name, step.host) for _, step in site.plan().steps]
    points = [(name, host, when) for name, host in steps for when in ("before", "after")]
    assert len(points) == len(set(points))
    sample(points, count, say)
    for name, host, when in points:
        shutil.rmtree(site.place)
        shutil.copytree(tmp_path / "before", site.place)
        assert site.deploy_killed(name, host, when)[-1]
        ended = site.deploy_elsewhere().splitlines()[-1]
        assert ended in ("done", "nothing_to_do"), (name, host, when, ended)
        site.require_healthy()
        assert site.versions() == dict.fromkeys(site.hosts, site.version), (name, host, when)
        assert site.plan().kind == "nothing", (name, host, when)
    say(f"{operation} of {count} members: killed at {len(points)} points, converged every time")


def test_killed_between_the_two_files_of_the_authority_it_converges(
    make_site: Callable[..., SimulatedSite],
) -> None:
    """The key is written last; the certificate alone is no CA (found by the sweep above)."""
    site = make_site("orphan")
    authority = site.home.pki / site.name
    authority.mkdir(parents=True)
    (authority / "ca.pem").write_text("the first of two files\n")
    assert site.deploy().outcome == "done"
    site.require_healthy()
