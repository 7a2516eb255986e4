"""Switches, hooks and what is removed, by a real shell in a directory of the test; systemd is a stub that remembers."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from quoracy.services.code.scan import scan
from quoracy.services.manifest import Manifest
from quoracy.services.manifest_times import Serving
from quoracy.services.scripts import prune_releases, read_manifest
from quoracy.services.scripts_switch import mark_healthy, run_hook, switch_back, switch_release
from quoracy.services.scripts_times import all_touched, touched
from tests.services.scripts.service_machine import USER, Machine, links, stage, web

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a host's scripts run as root")
SOCKET = {"activation": "socket"}


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


def marks(machine: Machine, release: str) -> set[str]:
    own = machine.dir / "releases" / release / ".quoracy"
    return {name for name in ("healthy", "proven") if (own / name).exists()}


def test_each_switch_asks_for_a_new_proof_and_remembers_the_old(
    machine: Machine, tree: Path
) -> None:
    stage(machine, web(), tree, "r1", "r2")
    machine.run(switch_release(web(), "r1"))
    assert marks(machine, "r1") == set()
    machine.run(mark_healthy(web(), "r1"))
    machine.run(switch_release(web(), "r2"))
    assert (marks(machine, "r1"), marks(machine, "r2")) == ({"healthy"}, set())
    for _ in range(2):
        machine.run(switch_back(web(), "r1", "r2"))
        assert marks(machine, "r1") == {"proven"}
    machine.run(mark_healthy(web(), "r1"))
    machine.run(switch_release(web(), "r1"))
    assert marks(machine, "r1") == {"proven"}


def test_what_never_was_healthy_does_not_become_the_one_to_go_back_to(
    machine: Machine, tree: Path
) -> None:
    stage(machine, web(), tree, "r1", "r2", "r3")
    machine.run(switch_release(web(), "r1"))
    machine.run(mark_healthy(web(), "r1"))
    for cut_off_before_its_gate in ("r2", "r3"):
        machine.run(switch_release(web(), cut_off_before_its_gate))
        assert links(machine)["previous"] == "r1"
    machine.run(switch_back(web(), "r1", "r3"))
    assert links(machine) == {"current": "r1"}
    machine.run(switch_release(web(), "r2"))
    machine.run(switch_release(web(), "r1"))
    assert links(machine)["previous"] == "r2"  # which is not the one that serves, at least


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
    (tree / "hang").write_text("exec sleep 60\n")
    stage(machine, service, tree, "r1")
    assert machine.run(run_hook(service, "h1", "r1", "", "no"), code=3) == "no\n"
    assert "the hook hang did not end within 1 s" in machine.run(
        run_hook(service, "h1", "r1", "", "hang"), code=124
    )


def test_what_comes_back_is_made_newer_and_says_so(machine: Machine, tree: Path) -> None:
    service = web()
    names = {"index.js": "one", "same.js": "s", "a\nb": "one"}
    for name, text in names.items():
        (tree / name).write_text(text)
    stage(machine, service, tree, "r1")
    old = scan(tree).manifest
    for name in ("index.js", "a\nb"):
        (tree / name).write_text("two")
    machine.staged(service, "r2", tree, "r1")
    now = Serving([]).timed(old, 1_900_000_000)
    changed = {1_900_000_000: ["index.js", "a\nb"]}
    before = {name: (machine.dir / "releases/r1" / name).stat().st_mtime for name in names}

    machine.run(switch_release(service, "r2"))
    machine.run(switch_release(service, "r1", times=touched(service, "r1", changed, now)))

    seen = {name: (machine.dir / "releases/r1" / name).stat().st_mtime for name in names}
    assert seen == {**before, "index.js": 1_900_000_000, "a\nb": 1_900_000_000}
    serving = (machine.dir / "releases/r2/index.js").stat().st_mtime
    assert serving != 1_900_000_000, "an inode of its own"
    told = Manifest.parse(machine.run(read_manifest(service, "r1")))
    assert told == old
    assert {entry.time for entry in told.entries} == {1_900_000_000}
    machine.run(switch_back(service, "r2", "r1", times=all_touched(service, "r2", 2_000_000_000)))
    again = {path.stat().st_mtime for path in (machine.dir / "releases/r2").glob("*.js")}
    assert again == {2_000_000_000}
    machine.run(switch_back(service, "r1", "r2", times="exit 1"))  # it serves nevertheless
    assert links(machine)["current"] == "r1"


def test_old_releases_go_but_none_that_is_needed(machine: Machine, tree: Path) -> None:
    service = web()
    stage(machine, service, tree)
    machine.dependencies("k1", "k2", "k3")
    keys = {"r1": "k1", "r2": "k2", "r3": "k2", "r4": "", "r5": "k3", "r6": "k3", "r7": ""}
    for release, key in keys.items():
        machine.staged(service, release, tree, dependencies=key)
    machine.run(switch_release(service, "r2"))
    machine.run(switch_release(service, "r1"))
    for number, at in ((8, time.time()), (9, 1)):
        (machine.dir / f".quoracy/made/releases/r{number}").touch()
        (leftover := machine.dir / f"releases/.r{number}.incoming").mkdir()
        os.utime(leftover, (at, at))
    (machine.dir / "releases/.mine.removed").mkdir()
    with subprocess.Popen(["sleep", "100"], cwd=machine.dir / "releases/r4") as sleeper:
        removed = machine.run(prune_releases(service, 1)).splitlines()
        sleeper.kill()
    assert sorted(removed) == ["deps/k3", "releases/r3", "releases/r5", "releases/r6"]
    left = {path.name for path in (machine.dir / "releases").iterdir()}
    assert left == {"r1", "r2", "r4", "r7", ".r8.incoming", ".mine.removed"}
    assert {path.name for path in (machine.dir / "deps").iterdir()} == {"k1", "k2"}
    assert machine.run(prune_releases(service, 1)) == "releases/r4\n"
    made = machine.dir / ".quoracy/made"
    marks = {str(path.relative_to(made)) for path in made.glob("*/*")}
    assert marks == {*(f"releases/r{number}" for number in (1, 2, 7, 8)), "deps/k1", "deps/k2"}


def test_releases_that_were_healthy_are_kept_before_those_that_never_were(
    machine: Machine, tree: Path
) -> None:
    service = web()
    stage(machine, service, tree, "good-1", "good-2", "bad-1", "bad-2", "bad-3")
    for release in ("good-1", "good-2"):
        machine.run(mark_healthy(service, release))
    machine.run(switch_release(service, "good-1"))

    removed = machine.run(prune_releases(service, 3)).splitlines()

    assert sorted(removed) == ["releases/bad-1", "releases/bad-2"]
    assert {path.name for path in (machine.dir / "releases").iterdir()} == {
        "good-1",
        "good-2",
        "bad-3",
    }


def test_of_two_made_in_the_same_second_the_previous_one_is_kept(
    machine: Machine, tree: Path
) -> None:
    service = web()
    stage(machine, service, tree, "r1")
    machine.stamp -= 1
    stage(machine, service, tree, "r2", "r3")
    machine.run(switch_release(service, "r2"))
    machine.run(switch_release(service, "r3"))
    assert machine.run(prune_releases(service, 2)) == "releases/r1\n"
