"""Files that are whole or absent, whatever happens to their writers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from quoracy.aside import aside
from quoracy.durable import locked, make_directory, remove_leftovers, staged_file, write_file


def test_content_and_mode_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_file(tmp_path / "open", b"x", mode=0o644)
        os.umask(0)
        write_file(tmp_path / "closed", b"y", mode=0o600)
    finally:
        os.umask(before)
    assert (tmp_path / "open").read_bytes() == b"x"
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"open": 0o644, "closed": 0o600}


def test_final_name_appears_at_the_end(tmp_path: Path) -> None:
    write_file(tmp_path / "x", b"older", mode=0o600)
    with staged_file(tmp_path / "x", mode=0o600) as part:
        part.write(b"newer")
        part.flush()
        assert (tmp_path / "x").read_bytes() == b"older"
    assert (tmp_path / "x").read_bytes() == b"newer"


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_failed_writer_leaves_what_was_there(tmp_path: Path, error: BaseException) -> None:
    write_file(tmp_path / "x", b"older", mode=0o600)

    def fail() -> None:
        with staged_file(tmp_path / "x", mode=0o600) as part:
            part.write(b"half")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"older"]


KILLED = """
import os, signal, sys
from pathlib import Path
from quoracy.durable import staged_file
with staged_file(Path(sys.argv[1]) / "x", mode=0o600):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_leftovers_of_the_dead_are_removed_and_those_of_the_living_are_not(tmp_path: Path) -> None:
    with staged_file(tmp_path / "mine", mode=0o600) as part:
        killed = subprocess.run((sys.executable, "-c", KILLED, str(tmp_path)), check=False)
        assert killed.returncode == -signal.SIGKILL
        assert len(list(tmp_path.iterdir())) == 2
        remove_leftovers(tmp_path)
        assert [str(path) for path in tmp_path.iterdir()] == [part.name]
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_directories_are_made_with_their_parents(tmp_path: Path) -> None:
    make_directory(tmp_path / "a" / "b")
    make_directory(tmp_path / "a" / "b")
    assert {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")} == {0o700}


TAKE = """
import fcntl, sys
with open(sys.argv[1]) as file:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(3)
"""


def test_lock_is_held_and_given_back(tmp_path: Path) -> None:
    argv = (sys.executable, "-c", TAKE, str(tmp_path / "lock"))
    with locked(tmp_path / "lock"):
        assert subprocess.run(argv, check=False).returncode == 3
    assert subprocess.run(argv, check=False).returncode == 0


def test_who_waits_for_a_lock_can_be_interrupted(tmp_path: Path) -> None:
    def take() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        with locked(tmp_path / "lock"):
            pytest.fail("the lock is held")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with locked(tmp_path / "lock"), pytest.raises(KeyboardInterrupt):
            aside(take)
    finally:
        signal.signal(signal.SIGINT, before)
