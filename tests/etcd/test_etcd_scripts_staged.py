"""What a host does when a generation is not what was planned, in a real shell."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from quoracy.etcd.facts_staged import parse_staged, staged_question
from quoracy.etcd.scripts_staged import (
    NOT_AS_PLANNED,
    files_named,
    require_content,
    staged_content,
    with_files,
)
from quoracy.etcd.spec import EtcdCluster
from quoracy.etcd.templates import render_generation
from quoracy.hosts.question import Answer
from quoracy.hosts.script import script
from quoracy.operation.guard import FENCED, HELD, LOCK_BUSY, OWN_BUSY, UNREADABLE
from tests.etcd_factories import spec


@pytest.fixture
def cluster(tmp_path: Path) -> EtcdCluster:
    """A cluster whose first host's generation lies below a directory of the test."""
    there = {"config": f"{tmp_path}/etc/demo", "bin": f"{tmp_path}/opt"}
    # A spec itself names no directory below /tmp.
    plain = spec()
    directories = plain.directories.model_copy(update=there)
    cluster = plain.model_copy(update={"directories": directories})
    release = Path(cluster.release_dir(cluster.version))
    release.mkdir(parents=True)
    (release / "etcd").touch(mode=0o755)
    generation = render_generation(cluster, cluster.hosts[0])
    place = staged(cluster)
    place.mkdir(parents=True)
    for name, text in generation.files.items():
        (place / name).write_text(text)
    (place / "release").symlink_to(release)
    (Path(cluster.config_dir) / "current").symlink_to(place)
    return cluster


def staged(cluster: EtcdCluster) -> Path:
    identity = render_generation(cluster, cluster.hosts[0]).identity
    return Path(cluster.config_dir) / "generations" / identity


def content(cluster: EtcdCluster) -> str:
    return staged_content(cluster, render_generation(cluster, cluster.hosts[0]))


def run(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh"], input=text, capture_output=True, text=True, check=False)


def point_elsewhere(place: Path) -> None:
    other = place.parent / "other"
    other.mkdir()
    (place / "release").unlink()
    (place / "release").symlink_to(other)


EDITS: dict[str, Callable[[Path], object]] = {
    "etcd.yaml": lambda place: (place / "etcd.yaml").write_text("name: other\n"),
    "pre-start": lambda place: (place / "pre-start").unlink(),
    "unit": lambda place: (place / "unit").write_text("[Service]\nExecStart=/bin/true\n"),
    "release": point_elsewhere,
}


@pytest.mark.parametrize("in_use", [False, True])
def test_what_was_planned_goes_on(cluster: EtcdCluster, in_use: bool) -> None:
    done = run(script(*require_content(cluster, content(cluster), in_use=in_use), "echo acted"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "acted\n", "")


@pytest.mark.parametrize("in_use", [False, True])
@pytest.mark.parametrize("name", EDITS)
def test_what_was_edited_ends_the_script_before_it_acts(
    cluster: EtcdCluster, name: str, in_use: bool
) -> None:
    planned, place = content(cluster), staged(cluster)
    EDITS[name](place)
    done = run(script(*require_content(cluster, planned, in_use=in_use), "echo acted"))
    assert (done.returncode, done.stdout) == (NOT_AS_PLANNED, "")
    assert files_named(cluster, planned, done.stderr) == f"{place}/{name}"


def test_a_release_without_its_binary_and_a_generation_that_is_gone(cluster: EtcdCluster) -> None:
    planned, place = content(cluster), staged(cluster)
    (place / "release" / "etcd").unlink()
    done = run(script(*require_content(cluster, planned), "echo acted"))
    assert (done.returncode, done.stdout) == (NOT_AS_PLANNED, "")
    assert files_named(cluster, planned, done.stderr) == f"{place}/release"
    place.rename(place.with_name("away"))
    done = run(script(*require_content(cluster, planned), "echo acted"))
    assert (done.returncode, done.stdout) == (NOT_AS_PLANNED, "")
    assert files_named(cluster, planned, done.stderr) == f"{place}"


def test_files_elsewhere_are_compared_too(cluster: EtcdCluster, tmp_path: Path) -> None:
    unit = tmp_path / "etcd-demo.service"
    unit.write_text(render_generation(cluster, cluster.hosts[0]).unit)
    digest = content(cluster).split("unit\n")[0].rsplit("\n", 1)[1].split()[0]
    planned = with_files(content(cluster), {str(unit): digest})
    assert run(script(*require_content(cluster, planned))).returncode == 0
    unit.write_text("[Service]\n")
    done = run(script(*require_content(cluster, planned)))
    assert done.returncode == NOT_AS_PLANNED
    assert files_named(cluster, planned, done.stderr) == str(unit)


def test_what_is_not_known_is_not_asked(cluster: EtcdCluster) -> None:
    assert require_content(cluster, "") == ()
    assert with_files("", {"/x": "ab"}) == ""


def test_the_look_finds_what_the_plan_expects(cluster: EtcdCluster) -> None:
    place = staged(cluster)
    links = {f"{place}/release": str((place / "release").readlink())}
    incomplete = place.with_name("0123456789ab")
    incomplete.mkdir()
    (incomplete / "unit").write_text("x")

    def seen() -> dict[str, str]:
        done = run(staged_question(cluster.config_dir))
        assert done.stderr == ""
        return parse_staged(Answer(done.stdout, done.returncode), links, cluster.config_dir)

    assert seen() == {place.name: content(cluster)}
    (place / "unit").write_text("x")
    assert seen() != {place.name: content(cluster)}
    (place / "unit").unlink()
    assert seen() == {}


def test_no_generation_at_all(tmp_path: Path) -> None:
    done = run(staged_question(f"{tmp_path}/none"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_its_exit_code_is_none_of_the_guards() -> None:
    assert NOT_AS_PLANNED not in {LOCK_BUSY, FENCED, HELD, OWN_BUSY, UNREADABLE}
