"""Services that are broken on purpose: the previous release serves, and the message is true."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from services.shop import ASKED, Shop

from quoracy.errors import QuoracyError, Refused, RollbackFailed, RolledBack, StepFailed, UsageError

pytestmark = pytest.mark.lab

SLOW_DEATH = "setTimeout(() => process.exit(1), 2000);\n"
BROKEN: dict[str, Callable[[str], str]] = {
    "does not start": lambda _: "process.exit(1);\n",
    "has a mistake in its code": lambda _: "this is no JavaScript\n",
    "dies after 2 s": lambda code: code + SLOW_DEATH,
    "answers 500": lambda code: code.replace(
        "response.end('ok\\n')", "response.writeHead(500).end()"
    ),
    "answers 404": lambda code: code.replace("'/health'", "'/elsewhere'"),
    "never listens": lambda _: "setInterval(() => {}, 1000);\n",
    "never answers": lambda code: code.replace("response.end('ok\\n')", "void 0"),
}


@pytest.fixture(scope="module")
def web(shop: Shop) -> Shop:
    """One host that serves a good release; its socket is not held, so that nothing hides a failure."""
    shop.set(
        "web",
        activation=None,
        health_check_timeout=6,
        pre_deploy_hook=None,
        post_deploy_hook=None,
        stop_timeout=2,
    )
    shop.version("web", "good")
    assert shop.redeploy("web").outcome == "done"
    return shop


@pytest.fixture
def good(web: Shop) -> Iterator[Shop]:
    """Each test begins and ends with the good release."""
    code = web.file("web", "index.js").read_text()
    config = (web.project / "deployments/web/service-config.yml").read_text()
    current = web.facts("web").current
    yield web
    web.file("web", "index.js").write_text(code)
    (web.project / "deployments/web/service-config.yml").write_text(config)
    assert web.facts("web").current == current
    assert web.ask("web") == f"web release={current} version=good\n"
    assert web.redeploy("web").outcome == "nothing_to_do"


@pytest.mark.parametrize("way", BROKEN)
def test_a_broken_release_is_taken_back(good: Shop, way: str) -> None:
    path = good.file("web", "index.js")
    path.write_text(BROKEN[way](path.read_text()))
    if way == "dies after 2 s":
        good.set("web", health_check_stable=3)
    with pytest.raises(RolledBack) as raised:
        good.redeploy("web")
    assert raised.value.where == good.lab.hosts[0].name
    assert good.operations("web")[0].outcome == "rolled_back"


@pytest.mark.parametrize("moment", ["pre", "post"])
def test_a_hook_that_fails_is_obeyed(good: Shop, moment: str) -> None:
    good.file("web", "scripts/fails.sh").write_text("#!/bin/sh\necho no good; exit 7\n")
    good.set("web", **{f"{moment}_deploy_hook": "scripts/fails.sh"})
    expected = StepFailed if moment == "pre" else RolledBack
    with pytest.raises((expected, QuoracyError)) as raised:
        good.redeploy("web")
    assert not isinstance(raised.value, RollbackFailed)
    good.file("web", "scripts/fails.sh").unlink()


def test_a_hook_that_hangs_is_ended(good: Shop) -> None:
    good.file("web", "scripts/hangs.sh").write_text("#!/bin/sh\nsleep 600\n")
    good.set("web", pre_deploy_hook="scripts/hangs.sh", hook_timeout=2)
    with pytest.raises(QuoracyError):
        good.redeploy("web")
    assert good.shell("pgrep -x sleep || echo none") == "none\n"
    good.file("web", "scripts/hangs.sh").unlink()


@pytest.mark.parametrize(
    ("where", "command"),
    [
        ("controller", "exit 3"),
        ("host", "exit 3"),
        ("controller", "sleep 600"),
        ("host", "sleep 600"),
    ],
)
def test_a_build_that_fails_or_hangs_leaves_the_service_alone(
    good: Shop, where: str, command: str
) -> None:
    pid = good.facts("web").unit.main_pid
    package = good.file("web", "package.json").read_text()
    good.file("web", "package.json").write_text(
        package.replace("{", '{ "scripts": {"build": "true"},', 1)
    )
    good.set("web", build=command, build_on=where, build_timeout=3)
    with pytest.raises(QuoracyError):
        good.redeploy("web")
    good.file("web", "package.json").write_text(package)
    assert good.facts("web").unit.main_pid == pid


def test_a_full_disk_leaves_the_service_alone(good: Shop) -> None:
    pid = good.facts("web").unit.main_pid
    good.file("web", "large.bin").write_bytes(b"x" * 5_000_000)
    host = good.lab.hosts[0].name
    good.lab.fill_disk(host, 1_000_000)
    try:
        with pytest.raises(Refused) as raised:
            good.redeploy("web")
        assert "free" in str(raised.value)
    finally:
        good.lab.free_disk(host)
        good.file("web", "large.bin").unlink()
    assert good.facts("web").unit.main_pid == pid


def test_a_file_that_changes_while_it_is_sent_is_not_shipped(good: Shop) -> None:
    path = good.file("web", "changes.txt")
    path.write_text("before")
    try:
        with good.opened("web") as redeploy:
            plan = redeploy.plan()
            path.write_text("after!")
            with pytest.raises(QuoracyError, match=r"changes\.txt"):
                redeploy.run(plan, ASKED)
    finally:
        path.unlink()


def test_a_port_that_something_else_holds_is_refused(shop: Shop) -> None:
    shop.set("api", hosts=(2,))
    shop.shell("systemd-run --unit=squatter python3 -m http.server 8000", 2)
    try:
        with pytest.raises(Refused, match="8000"):
            shop.redeploy("api")
    finally:
        shop.shell("systemctl stop squatter", 2)


def test_an_unknown_service_is_a_mistake(shop: Shop) -> None:
    with pytest.raises(UsageError, match="wep"):
        shop.redeploy("wep")


def test_infrastructure_is_refused(shop: Shop) -> None:
    with pytest.raises(UsageError, match="carries no code"):
        shop.redeploy("store")
