"""The examples lose no request when they are restarted behind a port that stays open."""

from __future__ import annotations

import sys
from pathlib import Path

from quoracy.services.code.build import build_on_controller
from quoracy.services.code.outputs import binary_name
from quoracy.services.code.scan import scan
from tests import shop
from tests.code_services import needs, tree
from tests.controller import caches
from tests.examples.held_port import HeldPort, held_port, polled, wait_for

RESTARTS = 5


def judge(held: HeldPort, name: str) -> None:
    held.start(RELEASE="r0")
    with polled(held.port) as pollers:
        for number in range(1, RESTARTS + 1):
            wait_for(held, pollers[0], 5)
            assert held.stop() in (0, -15), f"{name} did not end by itself"
            held.start(RELEASE=f"r{number}")
        wait_for(held, pollers[0], 5)
    assert [failure for each in pollers for failure in each.failures] == []
    last = f"{name} release=r{RESTARTS} version=1\n"
    assert all(each.answers[-1] == last for each in pollers)
    assert held.get("/asset.txt") == (200, last)
    assert held.get("/health")[0] == 200
    assert held.get("/nothing")[0] == 404


def test_node() -> None:
    command = (needs("node"), "index.js")
    with held_port(command, shop.source("web"), {}) as held:
        judge(held, "web")


def test_python() -> None:
    # The environment of the tests has uvicorn, as Prefect needs it.
    environment = {"PYTHONDONTWRITEBYTECODE": "1"}
    with held_port((sys.executable, "main.py"), shop.source("api"), environment) as held:
        judge(held, "api")


def test_go(tmp_path: Path) -> None:
    needs("go")
    service, code = shop.configuration("prices").service, shop.source("prices")
    before = tree(code)
    built = build_on_controller(
        service,
        scan(code),
        tmp_path,
        architecture="x86_64",
        # The standard library is compiled once on a machine, which takes longest.
        home=caches(),
        log=print,
        timeout=280,
    )
    assert tree(code) == before
    assert sorted(path.name for path in built.iterdir()) == ["prices", "version.txt"]
    with held_port((f"./{binary_name(service)}",), built, {}) as held:
        judge(held, "prices")
