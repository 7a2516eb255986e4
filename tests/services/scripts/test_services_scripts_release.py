"""Releases as they come to lie on a host, by a real shell, tar and cp, in a directory of the test."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from quoracy.services.code.scan import scan
from quoracy.services.code.stream import release_stream
from quoracy.services.facts_state import parse_verified
from quoracy.services.manifest import Manifest
from quoracy.services.scripts import (
    install_dependencies,
    prepare_service,
    read_manifest,
    verify_release,
)
from quoracy.services.scripts_release import build_release, stage_release
from tests.services.scripts.service_machine import USER, Machine, web

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a host's scripts run as root")
BUILT_S = 1_800_000_000
WEIRD = ("-n", "a b", "new\nline", "'\"$(id)", "é", "*", "sub/-rf")


@pytest.fixture
def machine(machine: Machine) -> Machine:
    machine.run(prepare_service(web()))
    return machine


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    path = tmp_path / "code"
    write(path, {"index.js": "one", "lib/a.js": "a", "lib/b.js": "b", "run.sh": "#!/bin/sh\n"})
    (path / "run.sh").chmod(0o755)
    return path


def write(directory: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def build(command: str, timeout_s: int) -> str:
    return build_release(web(), "r1", command, timeout_s, time=BUILT_S)


def found(release: Path) -> dict[str, str]:
    """Content by path; a link's target behind an arrow."""
    return {
        str(path.relative_to(release)): f"-> {path.readlink()}"
        if path.is_symlink()
        else path.read_text()
        for path in sorted(release.rglob("*"))
        if ".quoracy" not in path.parts and (path.is_symlink() or path.is_file())
    }


def test_the_directories_are_roots_but_for_what_the_service_writes(machine: Machine) -> None:
    machine.run(prepare_service(web()))
    owners = {path.name: path.owner() for path in machine.dir.iterdir()}
    assert owners == {"releases": "root", "deps": "root", ".quoracy": "root", "shared": USER}
    assert machine.dir.stat().st_mode & 0o777 == 0o755


def test_a_first_release_holds_the_tree_and_what_belongs_to_it(
    machine: Machine, tree: Path
) -> None:
    release = machine.staged(web(), "r1", tree)
    assert found(release) == {
        "index.js": "one",
        "lib/a.js": "a",
        "lib/b.js": "b",
        "run.sh": "#!/bin/sh\n",
    }
    own = {path.name: path.stat().st_mode & 0o777 for path in (release / ".quoracy").iterdir()}
    assert own.pop("complete") == 0o644
    assert own == dict.fromkeys(("manifest", "unit", "environment", "release.json"), 0o600)
    assert (release / "run.sh").stat().st_mode & 0o777 == 0o755
    assert {path.owner() for path in release.rglob("*")} == {"root"}
    assert [path.name for path in release.parent.iterdir()] == ["r1"]


def test_only_what_changed_is_another_file_and_what_went_is_gone(
    machine: Machine, tree: Path
) -> None:
    first = machine.staged(web(), "r1", tree)
    before = found(first)
    inodes = {name: (first / name).stat().st_ino for name in before}
    write(tree, {"index.js": "two", "new/c.js": "c"})
    shutil.rmtree(tree / "lib")
    (tree / "run.sh").chmod(0o644)
    second = machine.staged(web(), "r2", tree, "r1")
    assert found(second) == {"index.js": "two", "new/c.js": "c", "run.sh": "#!/bin/sh\n"}
    assert not (second / "lib").exists()
    assert found(first) == before
    assert inodes == {name: (first / name).stat().st_ino for name in before}
    assert (first / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (second / "run.sh").stat().st_mode & 0o777 == 0o644


def test_unchanged_files_share_their_inode_unless_they_are_copied(
    machine: Machine, tree: Path
) -> None:
    first = machine.staged(web(), "r1", tree)
    linked = machine.staged(web(), "r2", tree, "r1")
    copied = machine.staged(web(), "r3", tree, "r1", copy=True)
    inodes = [(each / "index.js").stat().st_ino for each in (first, linked, copied)]
    assert inodes[0] == inodes[1] != inodes[2]


@pytest.mark.parametrize("copy", [False, True])
def test_names_may_hold_anything(machine: Machine, tree: Path, copy: bool) -> None:
    write(tree, dict.fromkeys(WEIRD, "x"))
    weird = os.fsdecode(b"\xff\xfe")
    (tree / weird).write_text("bytes")
    first = machine.staged(web(), "r1", tree)
    write(tree, dict.fromkeys(WEIRD[1:], "changed"))
    (tree / "-n").unlink()
    (tree / weird).unlink()
    second = machine.staged(web(), "r2", tree, "r1", copy=copy)
    assert {name: content for name, content in found(second).items() if name in WEIRD} == (
        dict.fromkeys(WEIRD[1:], "changed")
    )
    assert all((first / name).read_text() == "x" for name in WEIRD)
    assert (first / weird).exists()
    assert not (second / weird).exists()


def test_files_directories_and_links_may_take_each_others_place(
    machine: Machine, tree: Path
) -> None:
    write(tree, {"a": "file", "b/x": "in b", "d/x": "in d"})
    (tree / "c").symlink_to("lib")
    (tree / "e").mkdir()
    (tree / "f").mkdir()
    first = machine.staged(web(), "r1", tree)
    before = found(first)
    for name in ("b", "d", "e", "f"):
        shutil.rmtree(tree / name)
    for name in ("a", "c"):
        (tree / name).unlink()
    write(tree, {"a/y": "in a", "b": "file", "c/z": "in c", "e": "file", "f/y": "in f"})
    (tree / "d").symlink_to("lib")
    second = machine.staged(web(), "r2", tree, "r1")
    expected = {
        "a/y": "in a",
        "b": "file",
        "c/z": "in c",
        "d": "-> lib",
        "e": "file",
        "f/y": "in f",
    }
    assert {name: told for name, told in found(second).items() if name[0] in "abcdef"} == expected
    assert found(first) == before


def test_an_upload_that_breaks_off_makes_no_release(machine: Machine, tree: Path) -> None:
    told, stream = machine.stage(web(), "r1", tree)
    for size in range(0, len(stream), 512):
        if not stream[size:].strip(b"\0"):
            break
        machine.fails(told, stream[:size])
        assert not (machine.dir / "releases/r1").exists()
    machine.run(told, stream)
    assert (machine.dir / "releases/r1/.quoracy/complete").exists()


def test_a_complete_release_is_not_touched_again(machine: Machine, tree: Path) -> None:
    told, stream = machine.stage(web(), "r1", tree)
    machine.run(told, stream)
    inode = (machine.dir / "releases/r1").stat().st_ino
    machine.run(told, stream)
    assert (machine.dir / "releases/r1").stat().st_ino == inode


@pytest.mark.parametrize("copy", [False, True])
def test_killed_anywhere_the_next_run_makes_the_same_release(
    machine: Machine, tree: Path, copy: bool
) -> None:
    service = web(redeploy={"shared": ["data/uploads", ".env"]})
    first = machine.staged(service, "r1", tree)
    before = found(first)
    shutil.rmtree(tree / "lib")
    write(tree, {"index.js": "two", "lib": "a file"})
    told, stream = machine.stage(service, "r2", tree, "r1", copy=copy)
    at = 1
    while machine.run_killed(told, stream, at):
        second = machine.dir / "releases/r2"
        assert not second.exists() or (second / ".quoracy/complete").exists()
        assert found(first) == before
        machine.run(told, stream)
        assert found(second)["index.js"] == "two"
        assert found(second)["lib"] == "a file"
        assert found(first) == before
        shutil.rmtree(second)
        at += 1
    assert at > 15


def test_a_release_whose_base_is_gone_is_not_made(machine: Machine, tree: Path) -> None:
    told = stage_release(web(), "r2", "r1", "", deleted_size=0, copy=False)
    assert "release r1 is not there" in machine.run(told, code=1)


def test_shared_paths_are_links_to_what_the_service_writes(machine: Machine, tree: Path) -> None:
    service = web(redeploy={"shared": ["uploads", "data/app.sqlite", ".env", "deep/er/logs"]})
    write(tree, {"data/seed.sql": "seed", "uploads/.gitkeep": ""})
    release = machine.staged(service, "r1", tree)
    assert found(release)["uploads"] == "-> ../../shared/uploads"
    assert found(release)["data/app.sqlite"] == "-> ../../../shared/data/app.sqlite"
    assert found(release)["deep/er/logs"] == "-> ../../../../shared/deep/er/logs"
    shared = machine.dir / "shared"
    made = {str(path.relative_to(shared)): path.owner() for path in shared.rglob("*")}
    assert made == dict.fromkeys(("uploads", "data", "deep", "deep/er", "deep/er/logs"), USER)
    (shared / "uploads/photo").write_text("kept")
    assert (release / "uploads/photo").read_text() == "kept"


def test_what_is_shared_no_longer_comes_from_the_code_again(machine: Machine, tree: Path) -> None:
    machine.staged(web(redeploy={"shared": ["uploads", "lib"]}), "r1", tree)
    second = machine.staged(web(), "r2", tree, "r1")
    assert not (second / "uploads").is_symlink()
    assert not (second / "lib").is_symlink()


def test_a_shared_path_behind_a_link_of_the_code_is_refused(machine: Machine, tree: Path) -> None:
    elsewhere = machine.root / "elsewhere"
    elsewhere.mkdir()
    (tree / "data").symlink_to("lib")
    told, stream = machine.stage(web(redeploy={"shared": ["data/uploads"]}), "r1", tree)
    assert "data is a link, so data/uploads cannot be shared" in machine.run(told, stream, code=1)


def test_dependencies_are_linked_once_they_are_complete(machine: Machine, tree: Path) -> None:
    told, stream = machine.stage(web(), "r1", tree, dependencies="k1")
    assert "the dependencies k1 are not there" in machine.run(told, stream, code=1)
    machine.run("mkdir -p /opt/web/deps/k1/node_modules; : > /opt/web/deps/k1/.complete")
    assert "the dependencies k1 are not there" in machine.run(told, stream, code=1), "not ours"
    shutil.rmtree(machine.dir / "deps/k1")
    machine.dependencies("k1", "k2")
    machine.run(told, stream)
    release = machine.dir / "releases/r1"
    assert found(release)["node_modules"] == "-> ../../deps/k1/node_modules"
    second = machine.staged(web(), "r2", tree, "r1", dependencies="k2")
    assert found(second)["node_modules"] == "-> ../../deps/k2/node_modules"
    third = machine.staged(web(), "r3", tree, "r2")
    assert "node_modules" not in found(third)


def test_python_without_dependencies_is_the_systems(machine: Machine, tree: Path) -> None:
    service = web(service_type="python")
    machine.run(prepare_service(service))
    machine.staged(service, "r1", tree)
    assert machine.run("/opt/web/releases/r1/.venv/bin/python -c 'print(1)'") == "1\n"


def test_a_build_runs_as_the_service_and_leaves_roots_files(machine: Machine, tree: Path) -> None:
    machine.staged(web(), "r0", tree)
    told, stream = machine.stage(web(), "r1", tree, "r0", copy=True, complete=False)
    machine.run(told, stream)
    command = "id -un; echo $HOME; env | sort | cut -d= -f1; mkdir dist; echo made > dist/x; ls -a"
    output = machine.run(build(command, 20)).splitlines()
    assert output[0] == USER
    assert not Path(output[1]).exists()
    assert set(output[2 : output.index(".")]) - {"_"} == {"HOME", "LANG", "PATH", "PWD"}
    assert ".quoracy" not in output
    release = machine.dir / "releases/r1"
    assert found(release)["dist/x"] == "made\n"
    assert {path.owner() for path in release.rglob("*")} == {"root"}
    # Every host builds at another moment, and clients are told one time by all of them.
    own = (path for path in release.rglob("*") if path.is_file() and ".quoracy" not in path.parts)
    assert {int(path.stat().st_mtime) for path in own} == {BUILT_S}
    assert int((machine.dir / "releases/r0/index.js").stat().st_mtime) != BUILT_S
    assert found(machine.dir / "releases/r0").keys() == {
        "index.js",
        "lib/a.js",
        "lib/b.js",
        "run.sh",
    }
    machine.run(build("exit 3", 20))
    assert Manifest.parse(machine.run(read_manifest(web(), "r0"))) == scan(tree).manifest
    assert machine.run(read_manifest(web(), "r1")) == ""


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [("echo no >&2; exit 3", 3, "no"), ("exec sleep 60", 124, "the build did not end within 1 s")],
)
def test_a_build_that_fails_or_hangs_makes_no_release(
    machine: Machine, tree: Path, command: str, code: int, said: str
) -> None:
    told, stream = machine.stage(web(), "r1", tree, complete=False)
    machine.run(told, stream)
    assert said in machine.run(build(command, 1), code=code)
    assert not (machine.dir / "releases/r1").exists()
    machine.run(build("echo again > out", 20))
    assert found(machine.dir / "releases/r1")["out"] == "again\n"


def test_a_build_cannot_choose_its_unit(machine: Machine, tree: Path) -> None:
    told, stream = machine.stage(web(), "r1", tree, complete=False)
    machine.run(told, stream)
    machine.run(build("mkdir .quoracy; echo evil > .quoracy/unit", 20))
    assert "ExecStart" in (machine.dir / "releases/r1/.quoracy/unit").read_text()


def test_a_build_does_not_hold_the_hosts_lock(machine: Machine, tree: Path) -> None:
    told, stream = machine.stage(web(), "r1", tree, complete=False)
    machine.run(told, stream)
    body = build("ls -l /proc/self/fd | grep -c lock || :", 20)
    assert machine.run(f"exec 9>>{machine.root}/lock\nflock 9\n{body}").splitlines()[0] == "0"


@pytest.mark.parametrize(
    ("settings", "made", "served"),
    [({}, "dist", "../dist"), ({}, "lib", ".."), ({"public": "lib"}, "lib", "../lib")],
)
def test_static_serves_what_was_built(
    machine: Machine, tree: Path, settings: dict[str, str], made: str, served: str
) -> None:
    service = web(service_type="static", redeploy=settings)
    write(tree, {f"{made}/index.html": "hello"})
    release = machine.staged(service, "r1", tree)
    assert str((release / ".quoracy/public").readlink()) == served


def test_static_without_its_directory_is_no_release(machine: Machine, tree: Path) -> None:
    told, stream = machine.stage(web(service_type="static", redeploy={"public": "www"}), "r1", tree)
    assert "no directory www to serve" in machine.run(told, stream, code=1)


def test_dependencies_are_complete_or_not_there(machine: Machine, tmp_path: Path) -> None:
    source = tmp_path / "dependencies"
    write(source, {"node_modules/x/index.js": "x"})
    manifest = scan(source, ignoring=False).manifest
    stream = b"".join(release_stream(source, manifest.entries, extra={".sent": (b"1", 0o600)}))
    told = install_dependencies(web(), "k1")
    machine.fails(told, stream[:1024])
    at = 1
    while machine.run_killed(told, stream, at):
        at += 1
    assert (machine.dir / "deps/k1/.complete").exists()
    assert (machine.dir / "deps/k1/node_modules/x/index.js").read_text() == "x"
    inode = (machine.dir / "deps/k1").stat().st_ino
    machine.run(told, stream)
    assert (machine.dir / "deps/k1").stat().st_ino == inode


def test_a_virtual_environment_works_where_it_is_linked(
    machine: Machine, tmp_path: Path, tree: Path
) -> None:
    service, source = web(service_type="python"), tmp_path / "dependencies"
    version = machine.run(
        "/usr/bin/python3 -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'"
    )
    write(source, {f"lib/python{version.strip()}/site-packages/mine.py": "WHERE = __file__"})
    manifest = scan(source, ignoring=False).manifest
    stream = b"".join(release_stream(source, manifest.entries, extra={".sent": (b"1", 0o600)}))
    machine.run(install_dependencies(service, "k1"), stream)
    machine.staged(service, "r1", tree, dependencies="k1")
    asked = "import mine, sys; print(mine.WHERE, sys.prefix, mine.__cached__)"
    where, prefix, cached = machine.run(
        f"/opt/web/releases/r1/.venv/bin/python -c '{asked}'"
    ).split()
    assert where.startswith(prefix)
    assert Path(prefix).resolve() == machine.dir / "deps/k1"
    assert Path(cached).exists()


def test_verify_reads_back_what_was_sent(machine: Machine, tree: Path) -> None:
    service = web(redeploy={"shared": ["uploads"]})
    write(tree, dict.fromkeys(WEIRD, "x") | {"empty": ""})
    (tree / "nothing").mkdir()
    (tree / "link").symlink_to("lib/a.js")
    release = machine.staged(service, "r1", tree)
    machine.run("ln -s releases/r1 /opt/web/current")
    wanted = scan(tree).manifest
    assert Manifest.parse((release / ".quoracy/manifest").read_text()) == wanted
    assert parse_verified(machine.run(verify_release(service)).encode()) == wanted
    (release / "lib/a.js").write_text("changed")
    assert parse_verified(machine.run(verify_release(service)).encode()) != wanted
