"""Changing a host: what its guard's answers mean, and a script of our own that is still running."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from controller import home_in
from etcd_factories import healthy_facts, spec

from quoracy.commands.guard import FENCED, HELD, LOCK_BUSY, OWN_BUSY, Guard
from quoracy.db.session import open_database
from quoracy.effects.site import EtcdSite
from quoracy.errors import CommandFailed, LeaseHeld, RemoteError
from quoracy.remote.fake import FakeHost
from quoracy.remote.host import Result
from quoracy.remote.pool import HostPool
from quoracy.spec.etcd import ssh_targets

DEMO = spec()


@pytest.fixture
def host() -> FakeHost:
    return FakeHost("demo-1")


@pytest.fixture
def site(host: FakeHost, tmp_path: Path) -> Iterator[EtcdSite]:
    home = home_in(tmp_path)
    targets = ssh_targets(DEMO, default_known_hosts=str(home.known_hosts))[:1]
    db = open_database(home.database_url)
    with HostPool(targets, lambda _: host) as pool:
        guard = Guard(DEMO.name, "me@here:1:aa", 3)
        yield EtcdSite(
            subject=DEMO.name,
            settle_s=60,
            cluster=DEMO,
            pool=pool,
            home=home,
            db=db,
            guard=guard,
            stamp="op",
            resolvers={},
            look=lambda: healthy_facts(DEMO),
        )
    db.close()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (LOCK_BUSY, "in the middle of a step"),
        (FENCED, "a later operation has already acted there"),
        (HELD, "within the last minute"),
    ],
)
def test_a_refusal_by_the_host_is_another_operations(
    site: EtcdSite, host: FakeHost, code: int, said: str
) -> None:
    host.answer(lambda _: True, Result(code, b"", b""))
    with pytest.raises(LeaseHeld, match=said):
        site.change("demo-1", "true\n", what="try it")
    assert len(host.scripts) == 1


def test_a_failure_of_the_script_itself_is_told_with_its_words(
    site: EtcdSite, host: FakeHost
) -> None:
    host.answer(lambda _: True, Result(1, b"", b"no space left"))
    with pytest.raises(CommandFailed, match="try it failed with exit code 1: no space left"):
        site.change("demo-1", "true\n", what="try it")


def test_a_script_of_our_own_that_lost_its_connection_is_waited_for(
    site: EtcdSite, host: FakeHost
) -> None:
    """The host refused before anything was done, so asking again repeats no write."""
    answers = [Result(OWN_BUSY, b"", b""), Result(0, b"done", b"")]
    host.answer(lambda text: "acts" in text, lambda _: answers.pop(0))
    host.answer(lambda text: "flock -s" in text, Result(0, b"", b""))
    assert site.change("demo-1", "acts\n", what="try it") == b"done"
    kinds = ["settle" if "flock -s" in text else "change" for text in host.scripts]
    assert kinds == ["change", "settle", "change"]


def test_one_that_never_ends_is_not_waited_for_twice(site: EtcdSite, host: FakeHost) -> None:
    host.answer(lambda text: "acts" in text, Result(OWN_BUSY, b"", b""))
    host.answer(lambda text: "flock -s" in text, Result(1, b"", b""))
    with pytest.raises(RemoteError, match="an earlier script of this operation still runs there"):
        site.change("demo-1", "acts\n", what="try it")
    assert len(host.scripts) == 3


class TimedHost(FakeHost):
    """Remembers how long an upload may take."""

    limit = 0.0

    def send(
        self, script: str, chunks: Iterable[bytes], *, what: str, timeout: float = 0.0
    ) -> Result:
        self.limit = timeout
        return super().send(script, chunks, what=what, timeout=timeout)


def test_the_more_is_sent_the_longer_it_may_take(site: EtcdSite) -> None:
    slow = TimedHost("demo-1")
    slow.answer(lambda _: True, Result(0, b"", b""))
    targets = ssh_targets(DEMO, default_known_hosts=str(site.home.known_hosts))[:1]
    with HostPool(targets, lambda _: slow) as pool:
        timed = replace(site, pool=pool)
        timed.push("demo-1", "cat\n", (b"x",), what="try it", size=0)
        assert slow.limit == 600
        # node_modules of 300 MB on a line of 1 Mbit/s
        timed.push("demo-1", "cat\n", (b"x",), what="try it", size=300_000_000)
        assert slow.limit == 3600
