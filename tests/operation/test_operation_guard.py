"""The hosts' own lock and fence, by a real shell and a real flock, in a directory of the test."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from quoracy.hosts.bounded import Unreadable
from quoracy.hosts.machine import host_questions, parse_host
from quoracy.hosts.question import Answer
from quoracy.operation.guard import (
    FENCED,
    HELD,
    HOLD_SECONDS,
    LOCK_BUSY,
    OWN_BUSY,
    REACH,
    UNREADABLE,
    Guard,
    claimable,
    guarded,
    released,
    renumbered,
    settled,
    state_dir,
)

A, B = "root@one:10:aaaa", "root@two:20:bbbb"


class Machine:
    """One host: its state directory is the test's."""

    def __init__(self, directory: Path) -> None:
        self.state = directory / "state"

    def text(self, script: str) -> str:
        return script.replace(state_dir("demo"), str(self.state))

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-s"], input=self.text(script), capture_output=True, text=True, check=False
        )

    def act(self, holder: str, fence: int, successor_of: str = "") -> int:
        guard = Guard("demo", holder, fence, successor_of)
        done = self.run(guarded(guard, "echo acted\n"))
        assert (done.stdout == "acted\n") == (done.returncode == 0)
        return done.returncode

    @property
    def fence(self) -> list[str]:
        return (self.state / "fence").read_text().split()

    def age(self, seconds: int) -> None:
        holder, fence, _ = self.fence
        (self.state / "fence").write_text(f"{holder} {fence} {int(time.time()) - seconds}\n")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_first_holder_acts_and_is_remembered(machine: Machine) -> None:
    assert machine.act(A, 3) == 0
    assert machine.fence[:2] == [A, "3"]
    assert abs(int(machine.fence[2]) - time.time()) < 100
    assert machine.act(A, 3) == 0


def test_a_lower_number_is_refused_however_long_ago(machine: Machine) -> None:
    machine.act(A, 5)
    machine.age(10 * HOLD_SECONDS)
    before = machine.fence
    assert machine.act(B, 4) == FENCED
    assert machine.act(A, 4) == FENCED
    assert machine.fence == before


def test_another_holder_is_refused_within_a_minute_and_not_afterwards(machine: Machine) -> None:
    machine.act(A, 5)
    assert machine.act(B, 6) == HELD
    machine.age(HOLD_SECONDS - 5)
    assert machine.act(B, 6) == HELD
    machine.age(HOLD_SECONDS + 1)
    assert machine.act(B, 6) == 0
    assert machine.act(A, 5) == FENCED, "the one that was paused wakes up"


def test_the_successor_of_a_dead_holder_need_not_wait(machine: Machine) -> None:
    machine.act(A, 5)
    assert machine.act(B, 6, successor_of="root@other:1:cccc") == HELD
    assert machine.act(B, 6, successor_of=A) == 0


def test_of_two_that_died_one_after_the_other_the_host_may_know_either(machine: Machine) -> None:
    machine.act(A, 5)
    assert machine.act(B, 7, successor_of=f"root@other:1:cccc {A}") == 0
    assert machine.act(A, 8, successor_of=f"x{B} {B}x") == HELD, "whole names count"


def test_who_was_refused_elsewhere_cannot_raise_the_number_by_letting_go(machine: Machine) -> None:
    machine.act(A, 5)
    machine.age(HOLD_SECONDS + 1)
    assert machine.run(released(Guard("demo", B, 6))).returncode == 0
    assert machine.fence[:2] == [A, "5"]
    assert machine.act(A, 5) == 0


def test_letting_go_frees_the_host_and_keeps_the_number(machine: Machine) -> None:
    machine.act(A, 5)
    assert machine.run(released(Guard("demo", A, 5))).returncode == 0
    assert machine.fence == [f"-{A}", "5", "0"]
    assert machine.act(B, 4) == FENCED
    assert machine.act(B, 6) == 0


def test_who_was_fenced_off_cannot_let_go_for_the_other(machine: Machine) -> None:
    machine.act(A, 5)
    machine.age(HOLD_SECONDS + 1)
    machine.act(B, 6)
    assert machine.run(released(Guard("demo", A, 5))).returncode == FENCED
    assert machine.fence[:2] == [B, "6"]


def test_the_lock_is_held_while_the_body_runs(machine: Machine) -> None:
    slow = guarded(Guard("demo", A, 5), "echo in; read -r _ < /dev/stdin; echo out\n")
    with subprocess.Popen(
        ["sh", "-c", machine.text(slow)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as first:
        assert first.stdin is not None
        assert first.stdout is not None
        assert first.stdout.readline() == "in\n"
        for holder, code in ((A, OWN_BUSY), (B, LOCK_BUSY)):
            hasty = guarded(Guard("demo", holder, 5), "echo acted\n", wait_s=0)
            assert machine.run(hasty).returncode == code
        assert machine.run(settled("demo", 0)).returncode == 1
        first.stdin.write("\n")
        first.stdin.flush()
        assert first.stdout.readline() == "out\n"
    assert machine.run(settled("demo", 0)).returncode == 0
    assert machine.act(A, 5) == 0


def test_a_failing_body_fails_the_script(machine: Machine) -> None:
    done = machine.run(guarded(Guard("demo", A, 1), "set -eu\nfalse\necho on\n"))
    assert (done.returncode, done.stdout) == (1, "")


def test_the_state_is_private(machine: Machine) -> None:
    machine.act(A, 1)
    assert machine.state.stat().st_mode & 0o777 == 0o700


def test_standard_input_reaches_the_body(machine: Machine) -> None:
    """Archives are streamed to a guarded script that came by argv."""
    text = machine.text(guarded(Guard("demo", A, 1), "cat\n"))
    done = subprocess.run(["sh", "-c", text], input=b"\0archive", capture_output=True, check=True)
    assert done.stdout == b"\0archive"


def test_the_time_is_noted_again_at_the_end(machine: Machine) -> None:
    """A start may take two minutes; whoever waits for the lock must not find the hold expired then."""
    ages = f"echo {A} 5 1 > {machine.state}/fence\n"
    for ending in ("", "exit 3\n", "false\n"):
        machine.run(guarded(Guard("demo", A, 5), ages + ending))
        assert machine.fence[:2] == [A, "5"]
        assert abs(int(machine.fence[2]) - time.time()) < 100


def test_the_exit_code_of_the_body_is_kept(machine: Machine) -> None:
    assert machine.run(guarded(Guard("demo", A, 5), "exit 3\n")).returncode == 3


def test_on_a_full_disk_only_who_is_known_already_may_act(machine: Machine) -> None:
    machine.act(A, 5)
    full = "ulimit -f 0; trap '' XFSZ\n"  # no file can be written, as on a full disk
    known = full + guarded(Guard("demo", A, 5), "echo acted\n")
    assert (machine.run(known).returncode, machine.run(known).stdout) == (0, "acted\n")
    machine.age(HOLD_SECONDS + 1)
    other = machine.run(full + guarded(Guard("demo", B, 6), "echo acted\n"))
    assert other.returncode != 0
    assert other.stdout == ""
    assert machine.fence[:2] == [A, "5"]


def test_two_databases_that_give_the_same_number_never_let_both_act(machine: Machine) -> None:
    machine.act(B, 6)
    machine.age(HOLD_SECONDS + 1)
    assert machine.act(A, 6) == FENCED
    assert machine.act(B, 6) == 0
    machine.run(released(Guard("demo", B, 6)))
    assert machine.act(A, 6) == FENCED
    assert machine.act(B, 6) == FENCED, "who has let go acts no more"
    assert machine.act(A, 7) == 0


def test_a_time_in_the_future_holds_nobody_off_for_ever(machine: Machine) -> None:
    """The host's clock was set back since."""
    machine.act(A, 5)
    machine.age(-10 * HOLD_SECONDS)
    assert machine.act(B, 6) == 0


@pytest.mark.parametrize(("fence", "answer"), [(4, FENCED), (5, FENCED), (9, HELD)])
def test_asking_is_refused_like_acting_and_notes_nothing(
    machine: Machine, fence: int, answer: int
) -> None:
    machine.act(A, 5)
    before = machine.fence
    assert machine.run(claimable(Guard("demo", B, fence), wait_s=1)).returncode == answer
    assert machine.act(B, fence) == answer
    assert machine.fence == before


def test_asking_for_a_free_host_leaves_it_free(machine: Machine) -> None:
    assert machine.run(claimable(Guard("demo", A, 9), wait_s=1)).returncode == 0
    assert machine.act(B, 1) == 0


BEYOND = 2**63 - 1
NOTES = {
    "garbage": "what is this",
    "one word": "x",
    "a number beyond the shell's arithmetic": f"{A} {BEYOND} 0",
    "a longer one": f"{A} {'9' * 40} 0",
    "a time beyond it": f"{A} 5 {'9' * 40}",
    "a negative number": f"{A} -5 0",
    "an octal number": f"{A} 010 0",
    "an expression": f"{A} 5 a[$(touch${{IFS}}/tmp/h)]",
    "more words": f"{A} 5 0 0",
    "no end of the line": None,
    "blanks": "  ",
}


def noted(machine: Machine, text: str | None) -> None:
    machine.state.mkdir(exist_ok=True)
    (machine.state / "fence").write_text(f"{A} 5 0" if text is None else f"{text}\n")


@pytest.mark.parametrize("text", NOTES.values(), ids=NOTES)
def test_a_note_that_is_none_is_told_and_left_as_it_is(machine: Machine, text: str | None) -> None:
    noted(machine, text)
    before = (machine.state / "fence").read_text()
    for script in (
        guarded(Guard("demo", A, 7), "echo acted\n"),
        claimable(Guard("demo", B, 7, A), wait_s=1),
        released(Guard("demo", A, 7)),
    ):
        done = machine.run(script)
        assert (done.returncode, done.stdout) == (UNREADABLE, ""), done.stderr
        assert "fence says cannot be read" in done.stderr
    assert (machine.state / "fence").read_text() == before


@pytest.mark.parametrize("kind", ["directory", "pipe", "link", "dangling link"])
def test_a_note_that_is_no_file_is_told_and_left_as_it_is(machine: Machine, kind: str) -> None:
    machine.state.mkdir()
    place, elsewhere = machine.state / "fence", machine.state.parent / "elsewhere"
    if kind == "link":
        elsewhere.write_text(f"{A} 5 0\n")
    if kind == "directory":
        place.mkdir()
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to(elsewhere)
    assert machine.run(guarded(Guard("demo", A, 7), "echo acted\n")).returncode == UNREADABLE
    assert elsewhere.exists() == (kind == "link")
    assert kind in ("directory", "pipe") or place.is_symlink()
    age_on_disk(place)
    done = machine.run(renumbered(Guard("demo", B, 7)))
    assert (done.returncode, done.stdout) == (0, "noted there: no file\n"), done.stderr
    assert machine.fence == ["-", "7", "0"]
    assert kind != "link" or elsewhere.read_text() == f"{A} 5 0\n"


def test_an_empty_note_is_what_a_crash_may_leave(machine: Machine) -> None:
    machine.state.mkdir()
    (machine.state / "fence").touch()
    assert machine.act(A, 1) == 0


def test_nothing_is_written_through_a_link(machine: Machine) -> None:
    machine.act(A, 1)
    elsewhere = machine.state.parent / "elsewhere"
    elsewhere.write_text("of somebody else")
    (machine.state / "fence.new").symlink_to(elsewhere)
    machine.act(A, 1)
    assert machine.act(B, 2, successor_of=A) != 0
    assert elsewhere.read_text() == "of somebody else"


def age_on_disk(path: Path, seconds: int = HOLD_SECONDS + 9) -> None:
    at = time.time() - seconds
    os.utime(path, (at, at), follow_symlinks=False)


def renumber(machine: Machine, known: int = 7) -> tuple[int, str]:
    done = machine.run(renumbered(Guard("demo", B, known)))
    return done.returncode, done.stdout


@pytest.mark.parametrize("text", NOTES.values(), ids=NOTES)
def test_what_cannot_be_read_is_moved_aside_once_nobody_has_touched_it_for_a_minute(
    machine: Machine, text: str | None
) -> None:
    noted(machine, text)
    before = (machine.state / "fence").read_text()
    assert renumber(machine) == (HELD, "")
    assert (machine.state / "fence").read_text() == before
    age_on_disk(machine.state / "fence")
    code, said = renumber(machine)
    assert (code, said.strip()) == (0, f"noted there: {before.strip()}".strip())
    assert machine.fence == ["-", "7", "0"]
    assert [path.read_text() for path in machine.state.glob("fence.aside-*")] == [before]
    assert renumber(machine) == (0, "")
    assert machine.act(A, 8) == 0


def test_a_number_beyond_reason_is_written_anew_but_not_under_somebody_who_acts(
    machine: Machine,
) -> None:
    beyond = 7 + REACH + 1
    machine.act(A, beyond)
    assert renumber(machine) == (HELD, "")
    machine.age(HOLD_SECONDS + 1)
    assert renumber(machine)[0] == 0
    assert machine.fence == ["-", "7", "0"]
    machine.act(A, beyond)
    machine.run(released(Guard("demo", A, beyond)))
    assert renumber(machine)[0] == 0, "who has said that he ended keeps nobody off"
    assert machine.fence == ["-", "7", "0"]


@pytest.mark.parametrize("number", [1, 7, 7 + REACH])
def test_a_number_that_can_be_followed_is_left_as_it_is(machine: Machine, number: int) -> None:
    machine.act(A, number)
    machine.age(HOLD_SECONDS + 1)
    before = machine.fence
    assert renumber(machine) == (0, "")
    assert machine.fence == before


def test_each_host_is_shown_a_number_above_its_own_and_no_other_ones() -> None:
    guard = Guard("demo", A, 3, "", {"one": 2, "two": 3, "three": 900})
    assert [guard.on(host).fence for host in ("one", "two", "three", "four")] == [3, 4, 901, 3]
    assert guard.on("three").on("two").fence == 901, "it is one host's from then on"


@pytest.mark.parametrize("kind", ["pipe", "directory", "link"])
def test_a_note_that_is_no_file_makes_the_host_silent(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "demo/fence"
    place.parent.mkdir()
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "directory":
        place.mkdir()
    else:
        place.symlink_to("/etc/shadow")
    question = host_questions("demo", ())["guard"].replace("/var/lib/quoracy", str(tmp_path))
    asked = subprocess.run(
        ("sh", "-c", question), capture_output=True, text=True, timeout=20, check=True
    )
    answers = {"guard": Answer(asked.stdout, 0), "disks": Answer("", 0), "ports": Answer("", 0)}
    with pytest.raises(Unreadable, match="no holder, number and time"):
        parse_host(answers)
