"""What clients see of redeployments: pollers with fresh connections, in processes of their own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from bench.poller_process import Settings
from bench.pollers import Polled, Pollers
from quoracy.errors import RolledBack
from tests.services.sample import EVERY_CASE, sample
from tests.services.shop import PORTS, Shop

pytestmark = pytest.mark.lab

QUICK = {"health_check_stable": 0, "stop_timeout": 2, "health_check_timeout": 6}
# How often a service is switched while clients ask. That an example of each runtime keeps its socket's
# connections is shown without hosts, too (tests/examples/test_examples_zero_downtime.py).
SWITCHES = 3 if EVERY_CASE else 2
IN_A_ROW = 10 if EVERY_CASE else 6
REFUSED = {"Connection refused", "Connection reset by peer", "closed without an answer", "cut off"}
BROKEN: tuple[Callable[[str], str], ...] = (
    lambda code: code.replace("response.end('ok\\n')", "response.writeHead(500).end()"),
    lambda code: code + "setTimeout(() => process.exit(1), 500);\n",
    lambda _: "setInterval(() => {}, 1000);\n",
)


def pollers(shop: Shop, name: str, path: str) -> Pollers:
    """Two of them; an answer names its process's release, and the version in the file or at the start."""
    address = shop.lab.hosts[0].address
    version = r"version=(\S+)"
    settings = Settings(
        address,
        PORTS[name],
        path,
        interval_s=0.02,
        timeout_s=30.0,
        longest_s=280.0,
        release=version,
        asset=version,
        identity=r"release=(\S+)",
    )
    return Pollers(settings, 2)


def tell(what: str, polled: Polled) -> None:
    """A figure to read, nothing to assert: machines differ."""
    figures = {
        "requests": polled.requests,
        "failed": polled.failed,
        "longest_gap_s": round(polled.longest_gap_s, 3),
        "slowest_answer_s": round(polled.slowest_s, 3),
    }
    print(what, json.dumps(figures))


def seen(polled: Polled) -> set[str]:
    return {one.release for one in polled.stretches() if one.good}


@pytest.mark.parametrize("name", sample(("web", "prices", "api"), 1))
def test_with_a_held_socket_no_request_fails(shop: Shop, name: str) -> None:
    shop.set(name, hosts=(1,), activation="socket", **QUICK)
    versions = [f"held{number}" for number in range(SWITCHES + 1)]
    shop.version(name, versions[0])
    assert shop.redeploy(name).outcome == "done"
    with pollers(shop, name, "/asset.txt") as polling:
        for version in versions[1:]:
            shop.version(name, version)
            assert shop.redeploy(name).outcome == "done"
        assert shop.rollback(name).outcome == "done"
        polled = polling.stop()
    tell(f"{name}, held socket", polled)
    assert not list(polled.gaps())
    assert seen(polled) == set(versions)
    assert not polled.mixed()


@pytest.mark.parametrize("name", sample(("web", "prices"), 1))
def test_without_one_connections_are_refused_and_nothing_worse(shop: Shop, name: str) -> None:
    shop.set(name, hosts=(1,), activation=None, **QUICK)
    versions = [f"restarted{number}" for number in range(SWITCHES + 1)]
    shop.version(name, versions[0])
    assert shop.redeploy(name).outcome == "done"
    with pollers(shop, name, "/asset.txt") as polling:
        for version in versions[1:]:
            shop.version(name, version)
            assert shop.redeploy(name).outcome == "done"
        polled = polling.stop()
    tell(f"{name}, restarted", polled)
    problems = {problem for gap in polled.gaps() for problem in gap.problems}
    assert problems <= REFUSED
    assert all(gap.ended is not None for gap in polled.gaps())
    assert seen(polled) == set(versions)
    assert not polled.mixed()


def test_many_in_a_row_every_third_broken(shop: Shop) -> None:
    """Code and asset of an answer are of one release; after each broken one the previous one serves."""
    ways = sample(BROKEN, IN_A_ROW // 3)
    # One of them dies after half a second.
    shop.set("web", hosts=(1,), activation=None, **{**QUICK, "health_check_stable": 1})
    path = shop.file("web", "index.js")
    code = path.read_text()
    shop.version("web", "row0")
    assert shop.redeploy("web").outcome == "done"
    good, broken = ["row0"], 0
    with pollers(shop, "web", "/asset.txt") as assets, pollers(shop, "web", "/") as bodies:
        for number in range(1, IN_A_ROW + 1):
            shop.version("web", f"row{number}")
            if number % 3:
                path.write_text(code)
                assert shop.redeploy("web").outcome == "done"
                good.append(f"row{number}")
            else:
                path.write_text(ways[broken](code))
                broken += 1
                with pytest.raises(RolledBack):
                    shop.redeploy("web")
                assert shop.operations("web")[0].outcome == "rolled_back"
            current = shop.facts("web").current
            for asked in ("/", "/asset.txt"):
                assert shop.ask("web", asked) == f"web release={current} version={good[-1]}\n"
        time.sleep(0.5)
        polled = Polled((*assets.stop().pollers, *bodies.stop().pollers))
    path.write_text(code)
    tell(f"{IN_A_ROW} in a row", polled)
    assert broken == len(ways)
    assert not polled.mixed()
    assert set(good) <= seen(polled)
    assert {one.status for one in polled.stretches()} <= {0, 200}
