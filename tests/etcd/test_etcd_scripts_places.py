"""What lies where a create would go: what the shell finds, tells and refuses."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from quoracy.etcd.facts_places import PlaceFacts, old_data, parse_places
from quoracy.etcd.scripts_places import ask_places, data_directories, places, require_free
from tests.etcd_factories import spec

HERE = "/srv/quoracy-test"
APART = spec(
    directories={
        "data": f"{HERE}/data",
        "wal": f"{HERE}/log",
        "config": f"{HERE}/config",
        "bin": f"{HERE}/bin",
    }
)
BLANK = ("data", "log", "config", "config/tls", "bin")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Empty directories, as mount points are."""
    for name in BLANK:
        (tmp_path / name).mkdir()
    (tmp_path / "data/lost+found").mkdir()
    return tmp_path


def run(machine: Path, script: str) -> subprocess.CompletedProcess[str]:
    script = f"set -eu\n{script}\n".replace(HERE, str(machine))
    return subprocess.run(["sh", "-s"], input=script, capture_output=True, text=True, check=False)


def look(machine: Path) -> dict[str, PlaceFacts]:
    done = run(machine, ask_places(APART))
    assert (done.returncode, done.stderr) == (0, "")
    return parse_places(done.stdout.replace(str(machine), HERE).splitlines())


def test_empty_directories_are_free(machine: Path) -> None:
    found = look(machine)
    assert {found[f"{HERE}/{name}"] for name in BLANK} == {PlaceFacts("directory", "root")}
    assert found["/"] == PlaceFacts("directory", "root")
    assert old_data(APART, found) == ()
    assert run(machine, require_free(APART)).returncode == 0


@pytest.mark.parametrize(
    "ours",
    [
        "data/member.aside-4711/wal/0.wal",
        "log/wal.aside-4711/0.wal",
        "log/wal.tmp.aside-4711/0.wal",
        "config/generations/0123456789ab/unit",
        "config/tls/ca.pem",
        "config/tls/peer.key.quoracy-new",
        "bin/3.5.16/etcd",
        "bin/anything",
    ],
)
def test_what_an_earlier_create_has_left_is_ours(machine: Path, ours: str) -> None:
    put(machine, ours)
    assert {found.strangers for found in look(machine).values()} == {()}
    assert run(machine, require_free(APART)).returncode == 0


@pytest.mark.parametrize(
    ("theirs", "place", "name"),
    [
        ("data/app.db", "data", "app.db"),
        ("data/.hidden", "data", ".hidden"),
        ("data/..odd", "data", "..odd"),
        ("data/member/snap/db", "data/member", "snap"),
        ("log/wal/0.tmp", "log/wal", "0.tmp"),
        ("log/app.log", "log", "app.log"),
        ("config/nginx.conf", "config", "nginx.conf"),
        ("config/tls/site.pem", "config/tls", "site.pem"),
        ("data/with a space", "data", "with a space"),
        ("data/x\nheld / app directory", "data", "(a strange name)"),
        ("data/\x1b[2J", "data", "(a strange name)"),
    ],
)
def test_what_is_not_ours_is_told_and_refused(
    machine: Path, theirs: str, place: str, name: str
) -> None:
    put(machine, theirs)
    found = look(machine)
    told = {path: one.strangers for path, one in found.items() if one.strangers}
    assert told == {f"{HERE}/{place}": (name,)}
    assert found["/"].owner == "root"
    refused = run(machine, require_free(APART))
    assert refused.returncode == 1
    assert f"in {machine}/{place} {name}" in refused.stderr


def put(machine: Path, name: str) -> None:
    file = machine / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()


def test_of_many_names_a_few_are_told(machine: Path) -> None:
    for number in range(50):
        put(machine, f"data/{number:02}")
    assert look(machine)[f"{HERE}/data"].strangers == ("00", "01", "02", "03", "04")


def test_a_link_to_a_directory_is_one_and_what_it_leads_to_counts(machine: Path) -> None:
    (machine / "data/lost+found").rmdir()
    (machine / "data").rmdir()
    (machine / "elsewhere").mkdir()
    (machine / "data").symlink_to("elsewhere")
    assert look(machine)[f"{HERE}/data"] == PlaceFacts("directory", "root")
    put(machine, "elsewhere/app.db")
    assert look(machine)[f"{HERE}/data"].strangers == ("app.db",)


@pytest.mark.parametrize("what", ["file", "dangling"])
def test_what_is_no_directory_is_refused(machine: Path, what: str) -> None:
    (machine / "log").rmdir()
    if what == "file":
        put(machine, "log")
    else:
        (machine / "log").symlink_to("nowhere")
    kind = {"file": "regular empty file", "dangling": "link that leads nowhere"}[what]
    assert look(machine)[f"{HERE}/log"].kind == kind
    refused = run(machine, require_free(APART))
    assert refused.returncode == 1
    assert f"{machine}/log" in refused.stderr


def test_the_log_inside_the_data_directory_is_not_a_stranger_there() -> None:
    for log, inside in (("/srv/etcd", "wal"), ("/srv/etcd/log", "log")):
        cluster = spec(directories={"data": "/srv/etcd", "wal": log})
        data = next(place for place in places(cluster) if place.path == "/srv/etcd")
        assert inside in (data.ours or ())
        assert data_directories(cluster) == ("/srv/etcd/member", f"{log}/wal")


def test_without_a_directory_of_its_own_the_log_lies_with_the_data() -> None:
    assert data_directories(spec()) == ("/var/lib/etcd/demo/member",)
