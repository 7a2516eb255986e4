"""Changing a host: what its guard's answers mean, and a script of our own that is still running."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from quoracy.db.session import open_database
from quoracy.errors import BackupFailed, CommandFailed, LeaseHeld, RemoteError
from quoracy.etcd.site import EtcdSite
from quoracy.etcd.snapshot import take_snapshot
from quoracy.etcd.steps import TakeSnapshot
from quoracy.hosts.fake import FakeHost
from quoracy.hosts.host import Result
from quoracy.hosts.limits import LINE_BYTES
from quoracy.hosts.pool import HostPool
from quoracy.hosts.targets import ssh_targets
from quoracy.operation.guard import FENCED, HELD, LOCK_BUSY, OWN_BUSY, Guard
from quoracy.operation.site import lines_of
from tests.controller import home_in
from tests.etcd_factories import healthy_facts, spec

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
            recent=lambda: healthy_facts(DEMO),
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


@pytest.mark.parametrize("size", [1, 7, 1000, 10**6])
def test_lines_are_the_same_in_chunks_of_any_size(size: int) -> None:
    text = b"one\n\ntwo \xc3\xa4\nthe last"
    chunks = [text[at : at + size] for at in range(0, len(text), size)]
    assert list(lines_of(chunks)) == ["one", "", "two ä", "the last"]
    assert list(lines_of([b"a\n", b"", b"b\n"])) == ["a", "b"]


def test_of_a_line_without_an_end_the_beginning_is_shown_and_kept() -> None:
    """A line of 60 MB was held whole, and put together anew with each piece of it."""
    chunks = itertools.chain(itertools.repeat(b"x" * 2**20, 60), [b"x\nnext\n"], [b"y" * 2**20])
    tracemalloc.start()
    told = list(lines_of(chunks))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert told == ["x" * LINE_BYTES + " …", "next", "y" * LINE_BYTES + " …"]
    assert peak < 8 * 2**20
    exact = b"z" * LINE_BYTES
    assert list(lines_of([exact + b"\n"])) == [exact.decode()]


def test_a_snapshot_is_no_larger_than_its_member_has_told(site: EtcdSite, host: FakeHost) -> None:
    """On the host, and on the way here."""
    header = {"revision": 100, "cluster_id": 7, "member_id": 1}
    asked = json.dumps([{"Endpoint": "x", "Status": {"header": header, "version": "3.5.16"}}])
    saved = f"{asked}\n{json.dumps({'revision': 100})}\n".encode()
    host.answer(lambda text: "rm -f" in text, Result(0, b"", b""))
    host.answer(lambda text: "snapshot save" in text, Result(0, saved, b""))
    host.answer(lambda text: text.startswith("cat "), Result(0, bytes(68 * 2**20), b""))
    step, one = TakeSnapshot("demo-1", 100, db_bytes=2**20), spec(1, backup={})
    with pytest.raises(BackupFailed, match="it printed more than 66 MiB") as error:
        take_snapshot(step, replace(site, cluster=one, recent=lambda: healthy_facts(one)))
    assert "so nothing was changed" in str(error.value)
    (script,) = (text for text in host.scripts if "snapshot save" in text)
    assert f"ulimit -f {66 * 2048}\n" in script
    assert not list((site.home.path / "snapshots").rglob("*.db"))
