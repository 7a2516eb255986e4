"""Switches and adoptions, by a real shell in a directory of the test; systemd is a stub that remembers."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from service_machine import USER, Machine, web

from quoracy.commands.service import prepare_service, prune_releases
from quoracy.commands.service_adopt import adopt_service, release_adopted
from quoracy.commands.service_flat import clear_flat, keep_flat
from quoracy.commands.service_switch import run_hook, switch_back, switch_release
from quoracy.facts.service import ReleaseFacts, record_of
from quoracy.spec.service import Service

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a host's scripts run as root")
SOCKET = {"activation": "socket"}
OLD_UNIT = """[Service]
User=nobody
WorkingDirectory=/opt/web
Environment=DATA=/opt/web/data:/opt/web2
ExecStart=/usr/bin/node /opt/web/index.js
"""
FLAT = record_of(ReleaseFacts("flat", "", "", "", "", 0, "op", "flat directory"))


@pytest.fixture
def machine() -> Iterator[Machine]:
    root = Path(tempfile.mkdtemp(prefix="quoracy-", dir="/var/tmp"))
    root.chmod(0o755)
    yield Machine(root)
    shutil.rmtree(root)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    path = tmp_path / "code"
    path.mkdir()
    (path / "index.js").write_text("new")
    return path


def stage(machine: Machine, service: Service, tree: Path, *releases: str) -> None:
    machine.run(prepare_service(service))
    for release in releases:
        machine.staged(service, release, tree)


def links(machine: Machine) -> dict[str, str]:
    names = ("current", "previous", ".quoracy/older")
    return {
        name: str((machine.dir / name).readlink())[9:]
        for name in names
        if (machine.dir / name).is_symlink()
    }


def listing(directory: Path) -> dict[str, str]:
    """What lies below, with owner and mode, but for what is ours."""
    found = {}
    for path in sorted(directory.rglob("*")):
        name = str(path.relative_to(directory))
        if name.split("/")[0] not in (
            "releases",
            "shared",
            "deps",
            ".quoracy",
            "current",
            "previous",
        ):
            content = (
                str(path.readlink()) if path.is_symlink() else path.is_file() and path.read_text()
            )
            found[name] = f"{path.owner()} {path.lstat().st_mode:o} {content}"
    return found


def test_a_switch_installs_the_unit_and_restarts_last(machine: Machine, tree: Path) -> None:
    stage(machine, web(), tree, "r1", "r2")
    machine.run(switch_release(web(), "r1"))
    assert machine.orders == [
        "daemon-reload []",
        "enable --quiet web.service []",
        "reset-failed web.service [releases/r1]",
        "restart web.service [releases/r1]",
    ]
    assert links(machine) == {"current": "r1"}
    assert (machine.etc / "web.service").read_text() == (
        machine.dir / "releases/r1/.quoracy/unit"
    ).read_text()
    machine.run(switch_release(web(), "r2"))
    assert machine.orders == [
        "reset-failed web.service [releases/r2]",
        "restart web.service [releases/r2]",
    ]
    assert links(machine) == {"current": "r2", "previous": "r1"}


def test_a_switch_may_run_twice(machine: Machine, tree: Path) -> None:
    stage(machine, web(), tree, "r1", "r2")
    for release in ("r1", "r2", "r2"):
        machine.run(switch_release(web(), release))
    assert links(machine) == {"current": "r2", "previous": "r1"}


def test_the_way_back_leaves_previous_as_it_was(machine: Machine, tree: Path) -> None:
    stage(machine, web(), tree, "r1", "r2", "r3")
    for release in ("r1", "r2", "r3"):
        machine.run(switch_release(web(), release))
    for _ in range(2):
        machine.run(switch_back(web(), "r2", "r3"))
        assert links(machine) == {"current": "r2", "previous": "r1"}
    machine.run(switch_release(web(), "r3"))
    assert links(machine)["previous"] == "r2"
    machine.run(switch_release(web(), "r1"))
    assert (links(machine)["current"], links(machine)["previous"]) == ("r1", "r3")


def test_the_way_back_of_a_first_switch_has_no_previous(machine: Machine, tree: Path) -> None:
    stage(machine, web(), tree, "r1", "r2")
    for release in ("r1", "r2"):
        machine.run(switch_release(web(), release))
    machine.run(switch_back(web(), "r1", "r2"))
    assert links(machine) == {"current": "r1"}


def test_killed_anywhere_a_switch_is_ended_or_put_back(machine: Machine, tree: Path) -> None:
    stage(machine, web(), tree, "r1", "r2", "r3")
    at, ended = 1, False
    while not ended:
        for release in ("r1", "r2"):
            machine.run(switch_release(web(), release))
        ended = not machine.run_killed(switch_release(web(), "r3"), b"", at)
        assert links(machine)["current"] in ("r2", "r3")
        if at % 2:
            machine.run(switch_release(web(), "r3"))
            assert (links(machine)["current"], links(machine)["previous"]) == ("r3", "r2")
        machine.run_killed(switch_back(web(), "r2", "r3"), b"", max(1, at // 2))
        machine.run(switch_back(web(), "r2", "r3"))
        assert (links(machine)["current"], links(machine)["previous"]) == ("r2", "r1")
        at += 1
    assert at > 10


def test_a_release_that_is_not_complete_is_not_switched_to(machine: Machine, tree: Path) -> None:
    stage(machine, web(), tree, "r1")
    assert "release r2 is not there" in machine.fails(switch_release(web(), "r2"))
    assert machine.orders == []


def test_a_service_that_does_not_start_says_why(machine: Machine, tree: Path) -> None:
    stage(machine, web(), tree, "r1")
    (machine.root / "broken").touch()
    assert machine.fails(switch_release(web(), "r1")) == "last words\n"


def test_a_socket_is_opened_once_and_stays(machine: Machine, tree: Path) -> None:
    held = web(redeploy=SOCKET)
    stage(machine, web(), tree, "r1")
    stage(machine, held, tree, "r2", "r3")
    machine.run(switch_release(web(), "r1"))
    assert machine.orders[-1] == "restart web.service [releases/r1]"
    machine.run(switch_release(held, "r2"))
    assert machine.orders == [
        "stop web.service [releases/r1]",
        "daemon-reload [releases/r1]",
        "enable --quiet web.socket [releases/r1]",
        "reset-failed web.service [releases/r2]",
        "stop web.service [releases/r2]",
        "reset-failed web.socket [releases/r2]",
        "start web.socket [releases/r2]",
        "restart web.service [releases/r2]",
    ]
    machine.run(switch_release(held, "r3"))
    assert machine.orders == [
        "reset-failed web.service [releases/r3]",
        "restart web.service [releases/r3]",
    ]


def test_a_socket_with_another_port_or_none_is_closed_first(machine: Machine, tree: Path) -> None:
    stage(machine, web(redeploy=SOCKET), tree, "r1")
    other = web(redeploy=SOCKET, app_port=4000)
    stage(machine, other, tree, "r2")
    stage(machine, web(), tree, "r3")
    machine.run(switch_release(web(redeploy=SOCKET), "r1"))
    machine.orders.clear()
    machine.run(switch_release(other, "r2"))
    assert [line for line in machine.orders if "start" in line or "stop" in line][-5:] == [
        "stop web.socket [releases/r1]",
        "stop web.service [releases/r1]",
        "stop web.service [releases/r2]",
        "start web.socket [releases/r2]",
        "restart web.service [releases/r2]",
    ]
    machine.run(switch_release(web(), "r3"))
    assert [line for line in machine.orders if "reset" not in line] == [
        "stop web.socket [releases/r2]",
        "stop web.service [releases/r2]",
        "disable --quiet web.socket [releases/r2]",
        "daemon-reload [releases/r2]",
        "restart web.service [releases/r3]",
    ]
    assert not (machine.etc / "web.socket").exists()


def test_static_is_switched_without_a_restart(machine: Machine, tree: Path) -> None:
    static = web(service_type="static")
    stage(machine, static, tree, "r1", "r2")
    machine.run(switch_release(static, "r1"))
    assert machine.orders == ["start nginx.service [releases/r1]"]
    page = machine.root / "var/www/web/index.js"
    assert page.read_text() == "new"
    machine.run(switch_release(static, "r2"))
    assert machine.orders == []
    assert links(machine) == {"current": "r2", "previous": "r1"}
    assert [each.name for each in (machine.root / "var/www").iterdir()] == ["web"]


@pytest.mark.parametrize("executable", [True, False])
def test_a_hook_runs_as_the_service_with_its_environment(
    machine: Machine, tree: Path, executable: bool
) -> None:
    service = web(container_env={"KEY": "a $b `c` \"d\" \\ 'e'", "PATH": "/bin:/usr/bin"})
    hook = tree / "hooks" / "before it.sh"
    hook.parent.mkdir()
    hook.write_text(
        '#!/bin/sh\necho "$KEY|$PORT|$RELEASE"\nenv | grep QUORACY_ | sort\nid -un; pwd; cat\n'
    )
    hook.chmod(0o755 if executable else 0o644)
    stage(machine, service, tree, "r1")
    told = machine.run(run_hook(service, "h1", "r1", "r0", "hooks/before it.sh")).splitlines()
    assert told == [
        "a $b `c` \"d\" \\ 'e'|3000|r1",
        "QUORACY_HOST=h1",
        "QUORACY_PREVIOUS=r0",
        "QUORACY_RELEASE=r1",
        "QUORACY_SERVICE=web",
        USER,
        str(machine.dir / "releases/r1"),
    ]


def test_a_hook_that_fails_or_hangs_fails(machine: Machine, tree: Path) -> None:
    service = web(redeploy={"hook_timeout": 1})
    (tree / "no").write_text("echo no; exit 3\n")
    (tree / "hang").write_text("sleep 60\n")
    stage(machine, service, tree, "r1")
    assert machine.run(run_hook(service, "h1", "r1", "", "no"), code=3) == "no\n"
    assert "the hook hang did not end within 1 s" in machine.run(
        run_hook(service, "h1", "r1", "", "hang"), code=124
    )


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
    owner = machine.dir.stat()
    machine.run(adopt_service(service, "r1", "flat"))
    assert links(machine) == {"current": "r1", "previous": "flat"}
    release = machine.dir / "releases/r1"
    assert (release / "uploads/a").read_text() == "photo"
    assert (release / "data/db").read_text() == "rows"
    assert machine.dir.owner() == "root"
    assert machine.orders[-1] == "restart web.service [releases/r1]"
    machine.run(release_adopted(service))
    assert listing(machine.dir) == before
    assert (machine.etc / "web.service").read_text() == unit
    assert links(machine) == {}
    assert (machine.dir.stat().st_uid, machine.dir.stat().st_mode) == (owner.st_uid, owner.st_mode)
    assert machine.orders[-1] == "start web.service []"
    assert not (machine.dir / ".quoracy/adoption").exists()
    machine.run(release_adopted(service))
    assert machine.orders == []


def test_killed_anywhere_an_adoption_is_ended_or_undone(machine: Machine, tree: Path) -> None:
    service, before = adopted(machine, tree)
    unit = (machine.etc / "web.service").read_text()
    at, ended = 1, False
    while not ended:
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
    machine.run(adopt_service(static, "r1", "flat"))
    machine.run(clear_flat(static, "flat"))
    assert [each.name for each in root.parent.iterdir()] == ["web"]
    machine.run(switch_release(static, "flat"))
    assert (root / "index.html").read_text() == "old page"


def test_old_releases_go_but_none_that_is_needed(machine: Machine, tree: Path) -> None:
    service = web()
    stage(machine, service, tree)
    for key in ("k1", "k2", "k3"):
        machine.run(f"mkdir -p /opt/web/deps/{key}; : > /opt/web/deps/{key}/.complete")
    keys = {"r1": "k1", "r2": "k2", "r3": "k2", "r4": "", "r5": "k3", "r6": "k3", "r7": ""}
    for release, key in keys.items():
        machine.staged(service, release, tree, dependencies=key)
    machine.run(switch_release(service, "r2"))
    machine.run(switch_release(service, "r1"))
    leftover = machine.dir / "releases/.r9.incoming"
    leftover.mkdir()
    os.utime(leftover, (1, 1))
    (machine.dir / "releases/.r8.incoming").mkdir()
    with subprocess.Popen(["sleep", "100"], cwd=machine.dir / "releases/r4") as sleeper:
        removed = machine.run(prune_releases(service, 1)).splitlines()
        sleeper.kill()
    assert sorted(removed) == ["deps/k3", "releases/r3", "releases/r5", "releases/r6"]
    left = {path.name for path in (machine.dir / "releases").iterdir()}
    assert left == {"r1", "r2", "r4", "r7", ".r8.incoming"}
    assert {path.name for path in (machine.dir / "deps").iterdir()} == {"k1", "k2"}
    assert machine.run(prune_releases(service, 1)) == "releases/r4\n"


def test_the_flat_copy_stays_while_the_adoption_is_under_way(machine: Machine, tree: Path) -> None:
    service, _ = adopted(machine, tree)
    machine.run(adopt_service(service, "r1", "flat"))
    machine.staged(service, "r2", tree)
    machine.run(switch_release(service, "r2"))
    machine.run(switch_release(service, "r1"))
    assert machine.run(prune_releases(service, 1)) == ""
    machine.run(clear_flat(service, "flat"))
    assert machine.run(prune_releases(service, 1)) == "releases/flat\n"
