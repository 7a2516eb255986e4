"""The times of an operation: the same on all hosts, later than all there is, and asked for once per release."""

from __future__ import annotations

from dataclasses import replace

from quoracy.hosts.fake import FakeHost
from quoracy.hosts.host import Result
from quoracy.hosts.pool import HostPool
from quoracy.hosts.targets import SshTarget
from quoracy.services.facts import ServiceHostFacts
from quoracy.services.manifest import Entry, Manifest
from quoracy.services.manifest_times import Serving
from quoracy.services.times import HORIZON_S, Times
from tests.service_factories import running_host, service

CLOCK_S = 1_000_000
WEB = service(3)


def tree(time: int = 0, **contents: str) -> Manifest:
    made = Manifest.of(Entry(path, "file", False, 1, text) for path, text in contents.items())
    return Serving(()).timed(made, time) if time else made


def running(manifest: Manifest | None, *, created_s: int = 50) -> ServiceHostFacts:
    facts = running_host("new", "new", {"old": "old"}).facts()
    releases = {
        name: replace(one, created_s=min(one.created_s, created_s))
        for name, one in facts.releases.items()
    }
    releases["new"] = replace(releases["new"], created_s=created_s)
    return replace(facts, releases=releases, manifest=manifest)


class Hosts:
    """Three hosts that tell what their releases are made of, when they are asked."""

    def __init__(self, **told: Manifest) -> None:
        self.hosts = {name: FakeHost(name) for name in ("h1", "h2", "h3")}
        for host in self.hosts.values():
            host.answer(lambda _: True, Result(0, b"", b""))
            for release, manifest in told.items():
                told_of = Result(0, manifest.recorded.encode(), b"")
                host.answer(lambda script, of=f"/{release}/": of in script, told_of)  # type: ignore[misc]
        targets = tuple(SshTarget(name, name, 22, "root", None, "none") for name in self.hosts)
        self.pool = HostPool(targets, lambda target: self.hosts[target.name])

    def times(self, **found: ServiceHostFacts) -> Times:
        return Times(WEB, self.pool, found, CLOCK_S)

    @property
    def asked(self) -> list[int]:
        return [len(host.scripts) for host in self.hosts.values()]


def test_the_clock_counts_unless_something_on_the_hosts_is_later() -> None:
    hosts = Hosts()
    assert hosts.times(h1=running(tree(10, a="1"))).now == CLOCK_S
    assert hosts.times(h1=running(tree(CLOCK_S + 5, a="1"))).now == CLOCK_S + 6
    assert hosts.times(h1=running(None, created_s=CLOCK_S)).now == CLOCK_S + 1
    # Who says more is not believed.
    far = CLOCK_S + HORIZON_S
    assert hosts.times(h1=running(tree(far, a="1"), created_s=far)).now == CLOCK_S


def test_what_has_not_come_along_is_asked_for_once_for_each_release() -> None:
    hosts = Hosts(new=tree(10, a="1", b="1"))
    times = hosts.times(h1=running(None), h2=running(None), h3=running(None))
    told = {entry.path: entry.time for entry in times.of(tree(a="1", b="2")).entries}
    assert told == {"a": 10, "b": CLOCK_S}
    assert times.of(tree(a="1", b="2")) is times.of(tree(a="1", b="2"))
    assert hosts.asked == [1, 0, 0]


def test_a_release_that_is_there_is_made_newer_where_it_differs() -> None:
    hosts = Hosts(old=tree(5, a="1", b="1"))
    times = hosts.times(h1=running(tree(10, a="1", b="2")), h2=running(tree(10, a="1", b="2")))
    assert times.before_switch("h1", "staged just now") == ""
    assert times.before_switch("h1", "new") == "", "it serves"
    script = times.before_switch("h1", "old")
    assert f"touch -h -c -d @{CLOCK_S} --" in script
    assert "touch -h -c -d @10 --" in script, "as it is where it serves"
    known = times.manifest("h1", "old")
    assert known is not None
    assert {entry.path: entry.time for entry in known.entries} == {"a": 10, "b": CLOCK_S}
    # When it does not become healthy there, what comes back is newer still.
    assert f"touch -h -c -d @{CLOCK_S + 1} --" in times.after_return("h1", "new", "old")
    assert hosts.asked == [1, 0, 0]


def test_of_what_nobody_has_noted_all_files_are_made_newer() -> None:
    hosts = Hosts()
    times = hosts.times(h1=running(None))
    script = times.before_switch("h1", "old")
    assert script == (
        f"find /opt/web/releases/old -type f -exec touch -h -c -d @{CLOCK_S} '{{}}' +"
    )
