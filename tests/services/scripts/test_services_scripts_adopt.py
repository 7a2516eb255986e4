"""Adoptions of the original's layout, by a real shell; killed anywhere they are ended or undone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from quoracy.services.facts import ReleaseFacts, record_of
from quoracy.services.scripts import prepare_service, prune_releases
from quoracy.services.scripts_adopt import adopt_service, release_adopted
from quoracy.services.scripts_flat import clear_flat, keep_flat
from quoracy.services.scripts_switch import mark_healthy, switch_release
from quoracy.services.spec import Service
from tests.services.scripts.service_machine import USER, Machine, links, listing, stage, web

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a host's scripts run as root")
OLD_UNIT = """[Service]
User=nobody
WorkingDirectory=/opt/web
Environment=DATA=/opt/web/data:/opt/web2
ExecStart=/usr/bin/node /opt/web/index.js
"""
FLAT = record_of(ReleaseFacts("flat", "", "", "", "", 0, "op", "flat directory"))


def flat(machine: Machine) -> dict[str, str]:
    """A host as the original leaves it; what lies there."""
    for name, content in {
        "index.js": "old",
        "data/db": "rows",
        "uploads/a": "photo",
        ".env": "A=1",
        "public/x": "x",
    }.items():
        path = machine.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (machine.dir / "link").symlink_to("index.js")
    (machine.dir / ".env").chmod(0o600)
    subprocess.run(["chown", "-R", f"{USER}:", machine.dir], check=True)
    (machine.etc / "web.service").write_text(machine.text(OLD_UNIT))
    (machine.root / "active/web.service").touch()
    return listing(machine.dir)


SHARED = {"redeploy": {"shared": ["uploads", "data/db", ".env", "later"]}}


def adopted(machine: Machine, tree: Path) -> tuple[Service, dict[str, str]]:
    service = web(**SHARED)
    before = flat(machine)
    stage(machine, service, tree, "r1")
    machine.run(keep_flat(service, "flat", FLAT))
    assert listing(machine.dir) == before
    return service, before


def test_the_flat_copy_starts_from_its_own_place(machine: Machine, tree: Path) -> None:
    adopted(machine, tree)
    kept = machine.dir / "releases/flat"
    assert (kept / ".quoracy/unit").read_text() == machine.text(
        OLD_UNIT.replace("/opt/web\n", "/opt/web/current\n")
        .replace("/opt/web/", "/opt/web/current/")
        .replace("/current/current", "/current")
    )
    assert (kept / "index.js").read_text() == "old"
    assert str((kept / "uploads").readlink()) == "../../shared/uploads"
    assert str((kept / ".env").readlink()) == "../../shared/.env"
    assert {path.lstat().st_uid for path in kept.rglob("*")} == {0}


def test_an_adoption_and_its_undo_leave_everything_as_it_was(machine: Machine, tree: Path) -> None:
    service, before = adopted(machine, tree)
    unit = (machine.etc / "web.service").read_text()
    machine.run(adopt_service(service, "r1", "flat"))
    assert links(machine) == {"current": "r1", "previous": "flat"}
    release = machine.dir / "releases/r1"
    assert (release / "uploads/a").read_text() == "photo"
    assert (release / "data/db").read_text() == "rows"
    assert machine.dir.owner() == "root"
    assert machine.orders[-1] == "restart web.service [releases/r1]"
    assert (machine.etc / "multi-user.target.wants/web.service").exists()
    machine.run(release_adopted(service))
    assert listing(machine.dir) == before
    assert (machine.etc / "web.service").read_text() == unit
    assert not (machine.etc / "multi-user.target.wants/web.service").exists()
    assert links(machine) == {}
    assert (machine.dir.owner(), machine.dir.stat().st_mode) == (USER, 0o40755)
    assert machine.orders[-1] == "start web.service []"
    assert not (machine.dir / ".quoracy/adoption").exists()
    machine.run(release_adopted(service))
    assert machine.orders == []


def test_killed_anywhere_an_adoption_is_ended_or_undone(machine: Machine, tree: Path) -> None:
    service, before = adopted(machine, tree)
    unit = (machine.etc / "web.service").read_text()
    at, ended = 1, False
    while not ended:
        machine.run(prepare_service(service, flat=True))
        ended = not machine.run_killed(adopt_service(service, "r1", "flat"), b"", at)
        if at % 2:
            machine.run(adopt_service(service, "r1", "flat"))
            assert (machine.dir / "releases/r1/uploads/a").read_text() == "photo"
        machine.run_killed(release_adopted(service), b"", max(1, at // 2))
        machine.run(release_adopted(service))
        assert listing(machine.dir) == before
        assert (machine.etc / "web.service").read_text() == unit
        at += 1
    assert at > 20


def test_the_flat_files_go_when_their_copy_is_kept(machine: Machine, tree: Path) -> None:
    service, _ = adopted(machine, tree)
    machine.run(adopt_service(service, "r1", "flat"))
    (machine.dir / "came later").write_text("by hand")
    (machine.dir / "uploads").mkdir()
    at = 1
    while machine.run_killed(clear_flat(service, "flat"), b"", at):
        at += 1
    assert at > 3
    assert sorted(listing(machine.dir)) == ["came later", "uploads"]
    assert not (machine.dir / ".quoracy/adoption").exists()
    machine.run(switch_release(service, "flat"))
    assert (machine.dir / "current/index.js").read_text() == "old"
    assert (machine.dir / "current/uploads/a").read_text() == "photo"
    assert "/opt/web/current/index.js" in (machine.etc / "web.service").read_text()


def test_flat_files_that_are_going_are_not_gone_back_to(machine: Machine, tree: Path) -> None:
    service, _ = adopted(machine, tree)
    machine.run(adopt_service(service, "r1", "flat"))
    (machine.dir / ".quoracy/adoption/clearing").touch()
    assert "roll back to their copy" in machine.fails(release_adopted(service))
    assert links(machine)["current"] == "r1"


def test_a_shared_path_that_is_in_both_places_stops_the_adoption(
    machine: Machine, tree: Path
) -> None:
    service, before = adopted(machine, tree)
    (machine.dir / "shared/uploads").mkdir()
    (machine.dir / "shared/uploads/other").touch()
    assert "uploads is in /opt/web and in /opt/web/shared" in machine.fails(
        adopt_service(service, "r1", "flat")
    ).replace(str(machine.dir), "/opt/web")
    machine.run(release_adopted(service))
    assert listing(machine.dir) == before


def test_the_directory_that_nginx_served_is_given_back(machine: Machine, tree: Path) -> None:
    static = web(service_type="static")
    flat(machine)
    root = machine.root / "var/www/web"
    root.mkdir()
    (root / "index.html").write_text("old page")
    stage(machine, static, tree, "r1")
    machine.run(keep_flat(static, "flat", FLAT))
    machine.run(adopt_service(static, "r1", "flat"))
    assert (root / "index.js").read_text() == "new"
    machine.run(release_adopted(static))
    assert not root.is_symlink()
    assert (root / "index.html").read_text() == "old page"
    machine.run(prepare_service(static, flat=True))
    machine.run(adopt_service(static, "r1", "flat"))
    machine.run(clear_flat(static, "flat"))
    assert [each.name for each in root.parent.iterdir()] == ["web"]
    machine.run(switch_release(static, "flat"))
    assert (root / "index.html").read_text() == "old page"


def test_the_flat_copy_stays_while_the_adoption_is_under_way(machine: Machine, tree: Path) -> None:
    service, _ = adopted(machine, tree)
    machine.run(adopt_service(service, "r1", "flat"))
    machine.run(mark_healthy(service, "r1"))
    machine.staged(service, "r2", tree)
    machine.run(switch_release(service, "r2"))
    machine.run(switch_release(service, "r1"))
    assert machine.run(prune_releases(service, 1)) == ""
    machine.run(clear_flat(service, "flat"))
    assert machine.run(prune_releases(service, 1)) == "releases/flat\n"


def test_a_file_with_a_hole_takes_no_more_room_in_the_copy(machine: Machine, tree: Path) -> None:
    flat(machine)
    stage(machine, web(), tree, "r1")
    os.truncate(machine.dir / "data/db", 50 * 1024**3)
    machine.run(keep_flat(web(), "flat", FLAT))
    copy = (machine.dir / "releases/flat/data/db").stat()
    assert (copy.st_size, copy.st_blocks * 512 < 1024**2) == (50 * 1024**3, True)


def test_a_copy_takes_no_more_than_nine_tenths_of_what_is_free(
    machine: Machine, tree: Path
) -> None:
    before = flat(machine)
    stage(machine, web(), tree, "r1")
    (machine.dir / "big").write_bytes(os.urandom(4 * 1024**2))
    machine.program("df", "#!/bin/sh\necho header\necho x x x 4000 x\n")
    said = machine.fails(keep_flat(web(), "flat", FLAT))
    assert "could not be copied as it is; a copy may take nine tenths of what is free" in said
    assert [each.name for each in (machine.dir / "releases").iterdir()] == ["r1"]
    (machine.dir / "big").unlink()
    assert listing(machine.dir) == before
    machine.run(keep_flat(web(), "flat", FLAT))
