"""Ctrl-C at the terminal: once finishes the member under way, twice puts it back; nobody stays down."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.scenarios.plan_reading import members
from tests.scenarios.scenario_site import Site

pytestmark = pytest.mark.lab

QUICK = {"heartbeat_interval_ms": 50, "election_timeout_ms": 500}


@pytest.fixture(scope="module")
def site(make_site) -> Site:
    made = make_site("keys", ports={"client": 8579, "peer": 8580}, etcd=QUICK)
    made.version = "3.5.16"
    made.apply()
    assert made.deploy().outcome == "done"
    return made


@contextmanager
def deploying(site: Site) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own; what it says comes line by line."""
    command = str(Path(sys.executable).with_name("quoracy"))
    with subprocess.Popen(
        (command, "etcd-deploy", site.name, "--without-prefect"),
        env={"QUORACY_HOME": str(site.home.path), "HOME": str(site.place), "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def read_until(child: subprocess.Popen[str], words: str) -> str:
    """What the command says, up to a line with these words."""
    assert child.stdout is not None
    said = ""
    for line in child.stdout:
        said += line
        if words in line:
            return said
    raise AssertionError(f"{words!r} was never said:\n{said}")


def press(child: subprocess.Popen[str]) -> None:
    os.kill(child.pid, signal.SIGINT)


def test_once_finishes_the_member_and_stops(site: Site) -> None:
    site.apply(etcd={**QUICK, "heartbeat_interval_ms": 60})
    first, *others = members(site.plan())
    before = site.watch.restarts()
    with deploying(site) as child:
        read_until(child, f"{first}: stop ")
        press(child)
        said = read_until(child, "Stopped: ")
        assert child.wait(timeout=60) == 1
    assert "stopping once what is under way is done" in said
    assert f"left as they were: {', '.join(others)}" in said
    after = site.watch.restarts()
    assert [name for name in site.hosts if after[name] != before[name]] == [first]
    site.require_healthy()
    assert members(site.plan()) == others
    assert site.deploy().outcome == "done"


def test_twice_puts_the_member_back(site: Site) -> None:
    site.apply(etcd={**QUICK, "heartbeat_interval_ms": 70})
    generations = site.current()
    first, *_ = members(site.plan())
    with deploying(site) as child:
        read_until(child, f"{first}: stop ")
        press(child)
        read_until(child, "stopping once")
        press(child)
        said = read_until(child, "RolledBack: ")
        assert child.wait(timeout=60) == 1
    assert "interrupted" in said
    site.require_healthy()
    assert site.current() == generations
    assert site.deploy().outcome == "done"
