"""Quoting, whole-file replacement and atomic links, run by a real shell."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from quoracy.hosts.script import link, script, write_file


def run(text: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["sh", "-s"], input=text.encode(), capture_output=True, check=False)


def owner() -> str:
    return f"{os.getuid()}:{os.getgid()}"


@pytest.mark.parametrize("word", ["a b", "'", '"', "$(id)", "`id`", ";", "\\", "-n", "*", "é\n"])
def test_arguments_arrive_as_they_are(word: str) -> None:
    assert run(script(("printf", "%s", word))).stdout == word.encode()


def test_it_stops_at_the_first_failure() -> None:
    done = run(script(("echo", "one"), ("false",), ("echo", "two")))
    assert (done.returncode, done.stdout) == (1, b"one\n")


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"\0\xff" * 40000, b"QUORACY_END\n", b"'\"$(reboot)\n", bytes(range(256))],
    ids=["empty", "one byte", "binary", "end mark", "shell", "all bytes"],
)
def test_files_arrive_as_they_are(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a file"
    path.write_bytes(b"before")
    done = run(script(write_file(str(path), content, mode="0640", owner=owner())))
    assert (done.returncode, done.stderr) == (0, b"")
    assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in tmp_path.iterdir()] == ["a file"]


def test_a_file_is_private_until_it_has_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "key"
    text = write_file(str(path), b"secret", mode="0600", owner=owner())
    until_written = text.split("\nchown", 1)[0]
    assert run(script(until_written)).returncode == 0
    assert (tmp_path / "key.quoracy-new").stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_completed_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    done = run(script(write_file(str(path), b"after", mode="0644", owner="no-such-user")))
    assert done.returncode != 0
    assert path.read_bytes() == b"before"


def test_a_link_is_replaced_and_never_missing(tmp_path: Path) -> None:
    for target in ("one", "two"):
        (tmp_path / target).mkdir()
        assert run(script(link(target, str(tmp_path / "current")))).returncode == 0
        assert (tmp_path / "current").readlink() == Path(target)
    # Nothing was made inside the directory that the link led to.
    assert [list((tmp_path / each).iterdir()) for each in ("one", "two")] == [[], []]
    assert "rm" not in link("one", "current")


def test_a_temporary_link_of_a_killed_run_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "current.quoracy-new").symlink_to("one")
    assert run(script(link("two", str(tmp_path / "current")))).returncode == 0
    assert (tmp_path / "current").readlink() == Path("two")
    assert list((tmp_path / "one").iterdir()) == []
