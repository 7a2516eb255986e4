"""What is somebody else's on a host is neither used, moved, stopped nor replaced, by a real shell; systemd is a stub."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from quoracy.services.scripts import install_dependencies, prune_releases
from quoracy.services.scripts_release import stage_release
from quoracy.services.scripts_switch import run_hook, switch_back, switch_release
from tests.services.scripts.service_machine import Machine, links, stage, web

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a host's scripts run as root")
FOREIGN = "[Service]\nExecStart=/bin/sleep 1000\n"


def test_what_somebody_has_copied_there_is_never_used_moved_or_removed(
    machine: Machine, tree: Path
) -> None:
    service = web()
    stage(machine, service, tree, "r1", "r2", "r3")
    machine.run(switch_release(service, "r1"))
    copies = ("releases/r1.bak", "releases/old", "deps/k1.bak", "releases/.r9.incoming")
    for copy in copies:
        shutil.copytree(machine.dir / "releases/r1", machine.dir / copy)
        os.utime(machine.dir / copy, (1, 1))
    machine.run("ln -sfn releases/old /opt/web/current")
    before = {copy: sorted((machine.dir / copy).rglob("*")) for copy in copies}

    machine.run(switch_release(service, "r2"))
    assert links(machine)["current"] == "r2"
    assert "previous" not in links(machine), "the copy is nothing to go back to"
    machine.run(prune_releases(service, 1))

    assert before == {copy: sorted((machine.dir / copy).rglob("*")) for copy in copies}
    for script in (
        switch_release(service, "old"),
        switch_back(service, "old", "r2"),
        run_hook(service, "h1", "old", "", "hook"),
    ):
        assert "release old is not there" in machine.fails(script)
    told, stream = machine.stage(service, "r9", tree)
    assert "releases/.r9.incoming is in the way: Quoracy has not made it" in machine.fails(
        told, stream
    )
    text = stage_release(service, "r8", "old", "", deleted_size=0, copy=False)
    assert "release old is not there" in machine.fails(text)
    assert "deps/k1.bak is in the way" in machine.fails(install_dependencies(service, "k1.bak"))


@pytest.mark.parametrize("name", ["web.service", "web.socket"])
def test_a_unit_of_somebody_elses_is_neither_stopped_nor_replaced(
    machine: Machine, tree: Path, name: str
) -> None:
    stage(machine, web(), tree, "r1", "r2")
    machine.run(switch_release(web(), "r1"))
    (machine.etc / name).write_text(FOREIGN)
    assert machine.orders
    said = machine.fails(switch_release(web(), "r2"))
    assert said == f"the unit {name} is not this service's, and is left alone\n"
    assert machine.orders == []
    assert (machine.etc / name).read_text() == FOREIGN
    assert links(machine) == {"current": "r1"}


def test_a_process_without_a_unit_file_is_not_stopped(machine: Machine, tree: Path) -> None:
    stage(machine, web(), tree, "r1")
    (machine.root / "active/web.service").touch()
    assert "is not this service's" in machine.fails(switch_release(web(), "r1"))
    assert machine.orders == []


def test_another_name_of_a_unit_is_not_replaced(machine: Machine, tree: Path) -> None:
    stage(machine, web(), tree, "r1")
    (machine.etc / "web.service").symlink_to("/etc/hostname")
    assert "is not this service's" in machine.fails(switch_release(web(), "r1"))
    assert (machine.etc / "web.service").is_symlink()


def test_a_web_root_of_somebody_elses_is_not_moved(machine: Machine, tree: Path) -> None:
    site = web(service_type="static", app_port=80)
    stage(machine, site, tree, "r1")
    root = machine.root / "var/www/web"
    root.mkdir()
    machine.run(switch_release(site, "r1"))  # an empty one is nobody's
    assert root.is_symlink()
    root.unlink()
    root.mkdir()
    (root / "index.html").write_text("mine")
    assert "web is in the way: Quoracy has not made it" in machine.fails(switch_release(site, "r1"))
    assert (root / "index.html").read_text() == "mine"
