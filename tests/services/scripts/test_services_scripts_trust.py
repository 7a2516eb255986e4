"""What root trusts in a service's directory, and for which service it is kept."""

from __future__ import annotations

import os
from pathlib import Path
from stat import S_ISLNK

import pytest

from quoracy.services.scripts import prepare_service
from quoracy.services.scripts_adopt import adopt_service, release_adopted
from quoracy.services.scripts_flat import keep_flat
from quoracy.services.scripts_release import build_release
from quoracy.services.scripts_switch import switch_release
from quoracy.services.scripts_user import as_user
from tests.services.scripts.flat_machine import FLAT, NOBODY, SERVICE, UNIT, lay_out, owner
from tests.services.scripts.service_machine import USER, Machine, links, listing, stage, web

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a host's scripts run as root")


PLANTED = {
    "a directory": "mkdir AT",
    "a link": "mkdir /opt/web/x; ln -s x AT",
    "a dangling link": "ln -s nowhere AT",
    "a file": "touch AT",
}


@pytest.mark.parametrize("name", ["releases", "deps", ".quoracy"])
@pytest.mark.parametrize("planted", PLANTED.values(), ids=PLANTED)
def test_what_the_app_user_has_planted_is_not_taken_for_ours(
    machine: Machine, planted: str, name: str
) -> None:
    lay_out(machine)
    machine.run(as_user(USER, "sh", "-c", planted.replace("AT", f"/opt/web/{name}")))
    before = listing(machine.dir)
    said = machine.fails(prepare_service(SERVICE, flat=True))
    assert f"{name} is in the way: it is not a directory of root's" in said
    assert listing(machine.dir) == before


def test_a_release_that_is_not_roots_is_not_taken_for_one(machine: Machine, tree: Path) -> None:
    stage(machine, SERVICE, tree, "r1", "r2")
    machine.run(switch_release(SERVICE, "r1"))
    unit = (machine.etc / "web.service").read_text()
    os.chown(machine.dir / "releases/r2/.quoracy", NOBODY.pw_uid, -1)
    (machine.dir / "releases/r2/.quoracy/unit").write_text("[Service]\nUser=root\n")
    assert "is not root's" in machine.fails(switch_release(SERVICE, "r2"))
    assert "is in the way" in machine.fails(prepare_service(SERVICE))
    assert (machine.etc / "web.service").read_text() == unit
    os.chown(machine.dir / "releases/r2/.quoracy", 0, -1)
    os.chown(machine.dir, NOBODY.pw_uid, -1)
    assert "is not root's" in machine.fails(switch_release(SERVICE, "r2"))
    machine.run(prepare_service(SERVICE))
    machine.run(switch_release(SERVICE, "r2"))
    assert links(machine)["current"] == "r2"


TRAPS = {
    "a directory current": "mkdir /opt/web/current",
    "a link current": "ln -s data /opt/web/current",
    "a directory for the new link": "mkdir /opt/web/current.quoracy-new",
    "shared is a link": "mv /opt/web/shared /opt/web/x; ln -s /etc /opt/web/shared",
    "shared is gone": "mv /opt/web/shared /opt/web/x",
}


@pytest.mark.parametrize("trap", TRAPS.values(), ids=TRAPS)
def test_what_is_planted_before_the_switch_stops_it(
    machine: Machine, tree: Path, trap: str
) -> None:
    lay_out(machine)
    before = owner(machine)
    stage(machine, SERVICE, tree, "r1")
    machine.run(keep_flat(SERVICE, "flat", FLAT))
    machine.run(as_user(USER, "sh", "-c", trap))
    assert "is in the way: Quoracy has not made it" in machine.fails(
        adopt_service(SERVICE, "r1", "flat")
    )
    machine.run(release_adopted(SERVICE))
    assert owner(machine) == before
    assert (machine.dir / "uploads/a").read_text() == "old uploads/a"
    assert (machine.etc / "web.service").read_text() == machine.text(UNIT)
    assert (machine.root / "active/web.service").exists()


def test_nothing_is_moved_through_a_link(machine: Machine, tree: Path) -> None:
    lay_out(machine)
    outside = machine.root / "outside"
    outside.mkdir()
    stage(machine, SERVICE, tree, "r1")
    machine.run(keep_flat(SERVICE, "flat", FLAT))
    machine.run(as_user(USER, "ln", "-s", str(outside), "/opt/web/shared/data"))
    assert "data/db leads through a link" in machine.fails(adopt_service(SERVICE, "r1", "flat"))
    assert not list(outside.iterdir())
    machine.run(release_adopted(SERVICE))
    assert (machine.dir / "data/db").read_text() == "old data/db"


# The app user is quicker than root: between two of its commands a directory becomes a link.
SWAPS = """#!/bin/sh
case "$*" in
    *db)
        /bin/mv ROOT/opt/web/shared/data ROOT/opt/web/shared/kept
        /bin/ln -s ROOT/outside ROOT/opt/web/shared/data ;;
esac
exec /bin/mv "$@"
"""


def test_a_directory_that_is_replaced_at_the_last_moment_leads_root_nowhere(
    machine: Machine, tree: Path
) -> None:
    lay_out(machine)
    outside = machine.root / "outside"
    outside.mkdir()
    stage(machine, SERVICE, tree, "r1")
    machine.run(keep_flat(SERVICE, "flat", FLAT))
    machine.program("mv", SWAPS)
    machine.run(adopt_service(SERVICE, "r1", "flat"))
    assert not list(outside.iterdir())
    assert (machine.dir / "shared/kept/db").read_text() == "old data/db"


TELLS = """#!/bin/sh
for last in "$@"; do :; done
[ ! -d "$last" ] || stat -c "PROGRAM %U" "$last" >> ROOT/told
exec /bin/PROGRAM "$@"
"""


def test_what_a_build_has_made_is_copied_and_not_given_away_in_place(
    machine: Machine, tree: Path
) -> None:
    """In a directory of the app user's chmod can be led to any file."""
    told, stream = machine.stage(SERVICE, "r1", tree, complete=False)
    machine.run(prepare_service(SERVICE))
    machine.run(told, stream)
    outside = machine.root / "outside"
    outside.write_text("root's")
    outside.chmod(0o600)
    for program in ("chmod", "chown"):
        machine.program(program, TELLS.replace("PROGRAM", program))
    build = (
        f"touch own; chmod 6755 own; ln -s {outside} link; mkdir -m 0700 closed; echo x > closed/x"
    )
    machine.run(build_release(SERVICE, "r1", build, 20, time=7))
    release = machine.dir / "releases/r1"
    told_of = set((machine.root / "told").read_text().splitlines())
    assert told_of == {"chmod root", "chown root"}
    found = {path.name: path.lstat() for path in (release, *release.rglob("*"))}
    assert {status.st_uid for status in found.values()} == {0}
    assert {one.st_mode & 0o6022 for one in found.values() if not S_ISLNK(one.st_mode)} == {0}
    assert found["own"].st_mode & 0o777 == 0o755
    assert (release / "closed").stat().st_mode & 0o777 == 0o755
    assert outside.stat().st_mode & 0o777 == 0o600
    assert (release / "index.js").read_text() == "new"


SEES = """#!/bin/sh
stat -c '%a %n' ROOT/opt/web/releases/.flat.incoming >> ROOT/seen
find ROOT/opt/web/releases/.flat.incoming -perm /6000 >> ROOT/seen
exec /bin/chown "$@"
"""


def test_a_setuid_program_of_the_app_users_never_is_roots(machine: Machine, tree: Path) -> None:
    lay_out(machine)
    for name in ("index.js", "data"):
        (machine.dir / name).chmod(0o6755)
    stage(machine, SERVICE, tree, "r1")
    machine.program("chown", SEES)
    machine.run(keep_flat(SERVICE, "flat", FLAT))
    kept = machine.dir / "releases/flat"
    modes = [line.split()[0] for line in (machine.root / "seen").read_text().splitlines()]
    assert modes == ["700", "750"]
    assert {path.lstat().st_mode & 0o6000 for path in (kept, *kept.rglob("*"))} == {0}
    assert f"{kept.stat().st_mode & 0o7777:o}" == "755"


def test_a_directory_is_kept_for_one_service(machine: Machine) -> None:
    machine.run(prepare_service(web()))
    other = web(service_name="shop", app_dir="/opt/web")
    assert "is kept for service:web" in machine.fails(prepare_service(other))
    (machine.dir / ".quoracy/owner").unlink()
    machine.run(prepare_service(other))
    assert "is kept for service:shop" in machine.fails(prepare_service(web()))
    assert [path.name for path in (machine.dir / ".quoracy").iterdir()] == ["owner"]


def test_a_release_that_is_staged_says_whose_the_directory_is(machine: Machine, tree: Path) -> None:
    stage(machine, web(), tree, "r1")
    (machine.dir / ".quoracy/owner").write_text("")  # as after a power cut
    (machine.dir / ".quoracy/owner").unlink()
    machine.staged(web(), "r2", tree)
    assert (machine.dir / ".quoracy/owner").read_text() == "service:web\n"
    (machine.dir / ".quoracy/owner").write_text("service:shop\n")
    told, stream = machine.stage(web(), "r3", tree)
    assert "is kept for service:shop" in machine.fails(told, stream)
