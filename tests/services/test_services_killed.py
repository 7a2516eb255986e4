"""The process that redeploys is killed (SIGKILL) at each step; the same command again converges."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from itertools import count

import pytest

from quoracy.errors import RolledBack
from tests.services.redeploy_process import begin, ended, killed
from tests.services.sample import EVERY_CASE, sample
from tests.services.shop import Shop

pytestmark = pytest.mark.lab

QUICK = {"health_check_stable": 1, "stop_timeout": 2, "keep_releases": 2, "batch": 1}
POINTS = [
    (None, "stage-release", 1, "before"),
    (None, "stage-release", 1, "during"),
    (None, "run-hook-before", 1, "during"),
    (None, "switch-release", 1, "during"),
    (None, "switch-release", 1, "after"),
    (None, "switch-release", 2, "during"),
    (None, "await-service", 1, "during"),
    (None, "await-service", 2, "after"),
    (None, "prune-releases", 1, "during"),
    ("socket", "stage-release", 2, "after"),
    ("socket", "run-hook-before", 2, "after"),
    ("socket", "switch-release", 1, "during"),
    ("socket", "switch-release", 2, "after"),
    ("socket", "await-service", 1, "after"),
    ("socket", "run-hook-after", 1, "before"),
    ("socket", "run-hook-after", 1, "during"),
    ("socket", "run-hook-after", 2, "after"),
    ("socket", "prune-releases", 2, "after"),
]
VERSIONS = count(1)
SMALL_FILES = 20_000 if EVERY_CASE else 5_000
BETWEEN_STOP_AND_START_S = 20


def served(shop: Shop, host: int) -> str:
    """The version that a host answers with; nobody listens between stop and start."""
    deadline = time.monotonic() + BETWEEN_STOP_AND_START_S
    while True:
        try:
            body = shop.ask("web", "/asset.txt", host)
        except (ConnectionRefusedError, ConnectionResetError, http.client.RemoteDisconnected):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return body.split("version=")[1].strip()


def require_whole(shop: Shop, version: str, hosts: tuple[int, ...] = (1, 2)) -> None:
    """The version serves from the current release on each host, and nothing half done lies about."""
    for host in hosts:
        facts = shop.facts("web", host)
        assert facts.current is not None
        assert facts.releases[facts.current].healthy
        assert facts.unit.running_in == f"/opt/web/releases/{facts.current}"
        assert shop.ask("web", host=host) == f"web release={facts.current} version={version}\n"
        assert not left_over(shop, host)


def left_over(shop: Shop, host: int = 1, name: str = "web") -> str:
    """What was begun on a host and not ended; temporary names of links and units as well."""
    return shop.shell(
        f"ls -d /opt/{name}/releases/.?*.incoming* /opt/{name}/deps/.?*.incoming "
        f"/opt/{name}/*.quoracy-new /etc/systemd/system/{name}*.quoracy-new 2>/dev/null || :",
        host,
    )


@pytest.fixture(scope="module", params=[None])
def web(request: pytest.FixtureRequest, shop: Shop) -> Shop:
    """The service on two hosts, with both hooks."""
    shop.raze()
    shop.set("web", hosts=(1, 2), activation=request.param, **QUICK)
    shop.file("web", "large.bin").write_bytes(b"0" * 30_000_000)
    for version in ("begun", "kept"):  # from now on each redeployment has one to remove
        shop.version("web", version)
        assert shop.redeploy("web").outcome == "done"
    return shop


@pytest.fixture
def versions(web: Shop) -> tuple[str, str]:
    """The version that serves, and another one that is wanted."""
    old, new = served(web, 1), f"v{next(VERSIONS)}"
    web.version("web", new)
    return old, new


def enlarge(web: Shop, version: str) -> None:
    """Change the large file, so that sending it takes long enough to be cut off."""
    web.file("web", "large.bin").write_bytes(version.encode() * 5_000_000)


@pytest.mark.parametrize(("web", "step", "number", "when"), sample(POINTS, 4), indirect=["web"])
def test_killed_it_converges(
    web: Shop, versions: tuple[str, str], step: str, number: int, when: str
) -> None:
    old, new = versions
    if step == "stage-release":
        enlarge(web, new)
    killed(web, "web", step, number, when)
    assert {served(web, 1), served(web, 2)} <= {old, new}
    # Killed after its last switch, all may have been done.
    last = (step, number) in (("run-hook-after", 2), ("prune-releases", 2))
    report = web.redeploy("web")
    assert report.outcome in (("done", "nothing_to_do") if last else ("done",))
    if (step, when) == ("run-hook-after", "before"):
        # The release is healthy, but its hook has not been run.
        taken = {(one.name, one.host) for one in web.steps(report.operation_id)}
        assert (step, web.lab.hosts[number - 1].name) in taken
    require_whole(web, new)
    assert web.redeploy("web").outcome == "nothing_to_do"


@pytest.mark.parametrize(
    ("web", "when"), [(None, "before"), (None, "during"), ("socket", "after")], indirect=["web"]
)
def test_killed_while_it_puts_back_it_converges(
    web: Shop, versions: tuple[str, str], when: str
) -> None:
    """The release does not start: after the kill the same command rolls back, and mended it serves."""
    old, new = versions
    code = web.file("web", "index.js").read_text()
    web.file("web", "index.js").write_text("process.exit(1);\n")
    web.set("web", hosts=(1, 2), health_check_timeout=3)
    try:
        killed(web, "web", "switch-back", 1, when)
        with pytest.raises(RolledBack):
            web.redeploy("web")
    finally:
        web.file("web", "index.js").write_text(code)
    assert (served(web, 1), served(web, 2)) == (old, old)
    assert web.redeploy("web").outcome == "done"
    require_whole(web, new)


def test_killed_again_and_again_it_converges(web: Shop, versions: tuple[str, str]) -> None:
    old, new = versions
    enlarge(web, new)
    for step, number in (("stage-release", 2), ("switch-release", 1), ("await-service", 2)):
        killed(web, "web", step, number, "during")
        assert {served(web, 1), served(web, 2)} <= {old, new}
    assert web.redeploy("web").outcome == "done"
    require_whole(web, new)


@pytest.fixture
def bare(shop: Shop) -> Iterator[Shop]:
    """Hosts that nothing was ever brought to."""
    shop.raze()
    yield shop
    shop.raze()


FIRST = [
    ("prepare-service", "during"),
    ("stage-release", "after"),
    ("switch-release", "during"),
    ("await-service", "during"),
]


@pytest.mark.parametrize(("step", "when"), sample(FIRST, 1))
def test_killed_the_first_time_it_converges(bare: Shop, step: str, when: str) -> None:
    bare.set("web", hosts=(1,), activation=None, **QUICK)
    bare.version("web", "first")
    killed(bare, "web", step, 1, when, delay_s=0.03)
    assert bare.redeploy("web").outcome == "done"
    require_whole(bare, "first", hosts=(1,))


@pytest.mark.parametrize("when", sample(("before", "during", "after"), 1))
def test_killed_while_dependencies_are_sent_it_converges(bare: Shop, when: str) -> None:
    bare.set("api", hosts=(1,), health_check_stable=1)
    killed(bare, "api", "install-dependencies", 1, when, delay_s=0.3)
    assert bare.redeploy("api").outcome == "done"
    facts = bare.facts("api")
    assert f"release={facts.current}" in bare.ask("api")
    assert not left_over(bare, name="api")


def test_many_small_files_and_a_large_one(bare: Shop) -> None:
    """Both arrive, the first time and changed; how long it took is printed."""
    bare.set("web", hosts=(1,), activation=None, **QUICK)
    for number in range(SMALL_FILES):
        path = bare.file("web", f"many/{number // 200}/{number}.txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number}\n")
    large = bare.file("web", "large.bin")
    large.write_bytes(b"0123456789abcdef" * 6_250_000)
    took = {}
    for what in ("all of it", "the large one changed"):
        begun = time.monotonic()
        assert bare.redeploy("web").outcome == "done"
        took[what] = round(time.monotonic() - begun, 1)
        told = bare.shell(
            "find /opt/web/current/many -type f | wc -l; wc -c < /opt/web/current/large.bin"
        )
        assert told.split() == [str(SMALL_FILES), str(large.stat().st_size)]
        with large.open("ab") as more:
            more.write(b"more")
    print(json.dumps(took))
    with large.open("ab") as more:
        more.write(b"still more")
    # Cut off in the middle of so much, nothing of it is taken for a release.
    before = bare.facts("web").current
    killed(bare, "web", "stage-release", 1, "during", delay_s=0.5)
    assert bare.facts("web").current == before
    code, said = ended(begin(bare, "web"))
    assert (code, said.splitlines()[-1]) == (0, "done")
    assert not left_over(bare)
