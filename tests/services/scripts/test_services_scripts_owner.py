"""A service's directory while root works in it: what the app user can do there, and whose it is afterwards."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from quoracy.services.scripts import prepare_service
from quoracy.services.scripts_adopt import adopt_service, release_adopted
from quoracy.services.scripts_flat import clear_flat, keep_flat
from quoracy.services.scripts_user import as_user
from tests.services.scripts.flat_machine import FLAT, NOBODY, SERVICE, lay_out, owner
from tests.services.scripts.service_machine import USER, Machine, listing, stage, web

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a host's scripts run as root")
OTHER = 4321  # no user's


def note(machine: Machine) -> Path:
    return machine.root / "state/service:web/flat-owner"


def fails_as_user(machine: Machine, *argv: str) -> None:
    assert "not permitted" in machine.fails(as_user(USER, *argv))


def prepared(machine: Machine) -> None:
    machine.run(prepare_service(SERVICE, flat=True))


def test_the_service_goes_on_writing_and_cannot_touch_what_is_roots(machine: Machine) -> None:
    lay_out(machine)
    prepared(machine)
    assert owner(machine) == (0, NOBODY.pw_gid, "1775")
    assert note(machine).read_text() == f"{NOBODY.pw_uid}:{NOBODY.pw_gid} 755\n"
    machine.run(as_user(USER, "touch", "/opt/web/log"))
    machine.run(as_user(USER, "mv", "/opt/web/log", "/opt/web/data/log"))
    machine.run(as_user(USER, "rm", "/opt/web/index.js"))
    for name in ("releases", "deps", ".quoracy"):
        fails_as_user(machine, "mv", f"/opt/web/{name}", "/opt/web/away")


ORIGINALS = {
    "of the app user": (NOBODY.pw_uid, NOBODY.pw_gid, "750", (0, NOBODY.pw_gid, "1775")),
    "of the app user, for a group": (NOBODY.pw_uid, OTHER, "2770", (0, NOBODY.pw_gid, "1775")),
    "of somebody else": (OTHER, OTHER, "755", (0, OTHER, "1755")),
    "of root, for a group": (0, OTHER, "775", (0, OTHER, "1775")),
    "of root, sticky": (0, 0, "1777", (0, 0, "1777")),
    "of root": (0, OTHER, "751", (0, OTHER, "751")),
    "as it will be": (0, 0, "755", (0, 0, "755")),
}


@pytest.mark.parametrize("original", ORIGINALS.values(), ids=ORIGINALS)
def test_whatever_it_was_it_is_so_again_after_the_undo(
    machine: Machine, tree: Path, original: tuple[int, int, str, tuple[int, int, str]]
) -> None:
    uid, gid, mode, meanwhile = original
    lay_out(machine, uid, gid)
    machine.dir.chmod(int(mode, 8))
    for _ in range(2):  # a run that ends here, and the next one
        stage(machine, SERVICE, tree, "r1")
        machine.run(keep_flat(SERVICE, "flat", FLAT))
        assert owner(machine) == meanwhile
    before = listing(machine.dir)
    machine.run(adopt_service(SERVICE, "r1", "flat"))
    assert owner(machine)[:2] == (0, 0)
    machine.run(release_adopted(SERVICE))
    assert owner(machine) == (uid, gid, mode)
    assert listing(machine.dir) == before
    assert not note(machine).exists()


def test_after_an_undo_the_next_run_begins_with_the_owner(machine: Machine, tree: Path) -> None:
    """What is staged is staged: nothing is prepared then, and the directory is the app user's again."""
    lay_out(machine)
    stage(machine, SERVICE, tree, "r1")
    machine.run(keep_flat(SERVICE, "flat", FLAT))
    machine.run(adopt_service(SERVICE, "r1", "flat"))
    machine.run(release_adopted(SERVICE))
    machine.run(as_user(USER, "mv", "/opt/web/releases", "/opt/web/away"))
    machine.run(as_user(USER, "cp", "-r", "/opt/web/uploads", "/opt/web/releases"))
    assert "releases is in the way" in machine.fails(keep_flat(SERVICE, "flat", FLAT))
    assert owner(machine) == (0, NOBODY.pw_gid, "1775")


def test_when_the_adoption_has_ended_nothing_is_remembered(machine: Machine, tree: Path) -> None:
    lay_out(machine)
    stage(machine, SERVICE, tree, "r1")
    machine.run(keep_flat(SERVICE, "flat", FLAT))
    machine.run(adopt_service(SERVICE, "r1", "flat"))
    machine.run(clear_flat(SERVICE, "flat"))
    assert not note(machine).exists()
    assert owner(machine) == (0, 0, "755")


def test_an_adoption_that_never_began_is_put_back_too(machine: Machine) -> None:
    lay_out(machine)
    prepared(machine)
    machine.run(release_adopted(SERVICE))
    assert owner(machine) == (NOBODY.pw_uid, NOBODY.pw_gid, "755")
    assert machine.orders == []


def test_killed_anywhere_the_first_owner_is_the_one_that_counts(
    machine: Machine, tree: Path
) -> None:
    lay_out(machine)
    machine.dir.chmod(0o750)
    before, at = owner(machine), 1
    while machine.run_killed(prepare_service(SERVICE, flat=True), b"", at):
        at += 1
        if note(machine).exists():
            assert note(machine).read_text() == f"{NOBODY.pw_uid}:{NOBODY.pw_gid} 750\n"
        machine.run_killed(release_adopted(SERVICE), b"", at // 3)
    assert at > 8
    stage(machine, SERVICE, tree, "r1")
    machine.run(keep_flat(SERVICE, "flat", FLAT))
    machine.run(adopt_service(SERVICE, "r1", "flat"))
    at = 1
    while machine.run_killed(release_adopted(SERVICE), b"", at):
        at += 1
    assert owner(machine) == before


def test_below_a_directory_of_the_app_users_nothing_is_safe(machine: Machine) -> None:
    lay_out(machine)
    said = machine.fails(prepare_service(web(app_dir="/opt/web/data"), flat=True))
    assert f"web belongs to {USER}, who could replace all that lies in it" in said
    assert (machine.dir / "data").owner() == USER
