"""Hosts that are held: each by a number of its own, by a real shell in a directory for each host."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from quoracy.errors import LeaseHeld, RemoteError
from quoracy.hosts.fake import FakeHost
from quoracy.hosts.host import Result
from quoracy.hosts.pool import HostPool
from quoracy.hosts.targets import SshTarget
from quoracy.operation.claims import Claims
from quoracy.operation.guard import HOLD_SECONDS, UNREADABLE, guarded, state_dir
from quoracy.operation.lease import Leased

HOSTS = ("one", "two", "three")
A, B = "root@a:1:aa", "root@b:2:bb"


class Hosts:
    """Three hosts, and what each has noted."""

    def __init__(self, root: Path) -> None:
        self.root = root
        targets = [SshTarget(name, name, 22, "root", None, "") for name in HOSTS]
        self.pool = HostPool(targets, self._host)

    def _host(self, target: SshTarget) -> FakeHost:
        host = FakeHost(target.name)
        host.answer(lambda _: True, lambda script: self.run(target.name, script))
        return host

    def run(self, name: str, script: str) -> Result:
        text = script.replace(state_dir("demo"), str(self.root / name))
        done = subprocess.run(["sh", "-s"], input=text.encode(), capture_output=True, check=False)
        return Result(done.returncode, done.stdout, done.stderr)

    def note(self, name: str, text: str) -> None:
        (self.root / name).mkdir(exist_ok=True)
        (self.root / name / "fence").write_text(text)

    @property
    def noted(self) -> dict[str, list[str]]:
        return {name: (self.root / name / "fence").read_text().split()[:2] for name in HOSTS}

    def age(self) -> None:
        for name, (holder, number) in self.noted.items():
            self.note(name, f"{holder} {number} {int(time.time()) - HOLD_SECONDS - 1}\n")

    def claims(self, **seen: int) -> Claims:
        return Claims("demo", self.pool, frozenset(HOSTS), seen)


@dataclass
class NoBeats:
    """Nobody listens to the heartbeat here."""


def lease(holder: str, fence: int) -> Leased:
    beats: Any = NoBeats()
    return Leased("op", holder, fence, "", beats)


@pytest.fixture
def hosts(tmp_path: Path) -> Hosts:
    return Hosts(tmp_path)


def test_the_number_of_one_host_raises_no_other_ones(hosts: Hosts) -> None:
    hosts.note("two", "root@elsewhere:9:ff 500000 0\n")
    claims = hosts.claims(two=500000)
    claims.take(lease(A, 3))
    assert hosts.noted == {"one": [A, "3"], "two": [A, "500001"], "three": [A, "3"]}
    claims.take(lease(A, 3))
    claims.let_go(lease(A, 3))
    assert hosts.noted == {
        "one": [f"-{A}", "3"],
        "two": [f"-{A}", "500001"],
        "three": [f"-{A}", "3"],
    }
    hosts.claims(one=3, two=500001, three=3).take(lease(B, 4))
    assert hosts.noted == {"one": [B, "4"], "two": [B, "500002"], "three": [B, "4"]}


def test_a_controller_that_was_paused_acts_on_no_host_any_more(hosts: Hosts) -> None:
    """Also on the one whose number was far ahead, and whatever its own database says."""
    hosts.note("two", "root@elsewhere:9:ff 500000 0\n")
    paused = hosts.claims(two=500000)
    paused.take(lease(A, 3))
    hosts.age()
    other = hosts.claims(one=3, two=500001, three=3)  # with a database of its own
    other.take(lease(B, 1))
    assert hosts.noted == {"one": [B, "4"], "two": [B, "500002"], "three": [B, "4"]}
    hosts.age()
    with pytest.raises(LeaseHeld, match="a later operation has already acted there"):
        paused.take(lease(A, 3))
    for name in HOSTS:
        script = guarded(paused.guard(lease(A, 3)).on(name), "echo acted\n")
        assert hosts.run(name, script).stdout == b"", name
    assert hosts.noted == {"one": [B, "4"], "two": [B, "500002"], "three": [B, "4"]}


def test_of_two_that_saw_the_same_one_acts(hosts: Hosts) -> None:
    """They looked at the same time: the second is refused everywhere, and raises nothing."""
    hosts.note("two", "root@elsewhere:9:ff 500000 0\n")
    first, second = hosts.claims(two=500000), hosts.claims(two=500000)
    first.take(lease(A, 3))
    hosts.age()
    with pytest.raises(LeaseHeld, match="two: a later operation"):
        second.take(lease(B, 4))
    assert hosts.noted == {"one": [A, "3"], "two": [A, "500001"], "three": [A, "3"]}


def test_what_cannot_be_read_keeps_everybody_off_and_says_what_helps(hosts: Hosts) -> None:
    hosts.note("two", f"{A} 99999999999999999999999 0\n")
    with pytest.raises(RemoteError, match="two: claim the host: what the host has noted") as error:
        hosts.claims().take(lease(A, 3))
    assert "`quoracy lease renumber demo two`" in error.value.next_step
    assert not (hosts.root / "one/fence").exists()
    script = guarded(hosts.claims().guard(lease(A, 3)).on("two"), "echo acted\n")
    assert hosts.run("two", script).exit_code == UNREADABLE
