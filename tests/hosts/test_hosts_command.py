from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from quoracy.errors import CommandFailed, CommandTimeout
from quoracy.hosts.command import LONGEST_ARGUMENT, command_line, guarded, judged, reading
from quoracy.hosts.host import Result

SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)]


def test_command_line_of_root() -> None:
    assert command_line("root", 30.0, "sh", "-s") == "timeout -k 5 30 sh -s"


def test_command_line_of_another_login_becomes_root_outside_the_time_limit() -> None:
    assert command_line("deploy", 600, "sh", "-s") == "sudo -n timeout -k 5 600 sh -s"


def test_command_line_quotes_its_arguments_once() -> None:
    line = command_line("root", 1, "sh", "-c", "cat > '/x y'; echo $HOME")
    assert line == """timeout -k 5 1 sh -c 'cat > '"'"'/x y'"'"'; echo $HOME'"""


@pytest.mark.parametrize(("timeout", "limit"), [(0.2, "1"), (1.0, "1"), (1.01, "2"), (0, "1")])
def test_a_time_limit_is_never_zero_which_would_mean_none(timeout: float, limit: str) -> None:
    assert command_line("root", timeout, "true").split()[3] == limit


@pytest.mark.parametrize("shell", SHELLS)
def test_every_truncation_of_a_script_executes_nothing(shell: str, tmp_path: Path) -> None:
    script = "echo one\nif true; then\n  echo two\nfi\ncat <<'END'\nthree }\nEND\n{ echo four; }\n"
    whole = guarded(script)
    for length in range(whole.rindex(b"}")):
        ended = subprocess.run(
            (shell, "-s"), input=whole[:length], capture_output=True, check=False
        )
        assert ended.stdout == b"", whole[:length]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("script", "exit_code", "stdout"),
    [
        ("", 0, b""),
        ("# only a comment", 0, b""),
        ("echo a # and a comment", 0, b"a\n"),
        ("set -eu\nfalse\necho never", 1, b""),
        ("echo a\nexit 7\necho never", 7, b"a\n"),
        ("cat\necho after", 0, b"after\n"),
        ("cat <<END\nhere\nEND", 0, b"here\n"),
        ("read -r line; echo $?", 0, b"1\n"),
    ],
)
def test_a_guarded_script_runs_as_it_is_and_reads_nothing(
    shell: str, script: str, exit_code: int, stdout: bytes
) -> None:
    ended = subprocess.run((shell, "-s"), input=guarded(script), capture_output=True, check=False)
    assert (ended.returncode, ended.stdout) == (exit_code, stdout)


@pytest.mark.parametrize("exit_code", [124, 137, -1])
def test_a_command_that_took_the_whole_limit_was_stopped_by_it(exit_code: int) -> None:
    with pytest.raises(CommandTimeout, match="start member did not end within 2 s"):
        judged(
            Result(exit_code, b"", b""),
            what="start member",
            where="one",
            timeout=2.0,
            elapsed=2.01,
            check=False,
        )


@pytest.mark.parametrize("exit_code", [124, 137, -1])
def test_a_command_that_took_less_ended_with_that_code_by_itself(exit_code: int) -> None:
    result = Result(exit_code, b"", b"")
    kept = judged(result, what="x", where="one", timeout=30.0, elapsed=1.0, check=False)
    assert kept is result
    with pytest.raises(CommandFailed, match=f"exit code {exit_code}"):
        judged(result, what="x", where="one", timeout=30.0, elapsed=1.0, check=True)


def run_reading(shell: str, script: str, data: bytes) -> subprocess.CompletedProcess[bytes]:
    (_, *argv), first = reading(script)
    return subprocess.run((shell, *argv), input=first + data, capture_output=True, check=False)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("length", [0, 500_000])
def test_a_script_of_any_length_reads_what_is_sent_and_no_more(shell: str, length: int) -> None:
    script = f": '{'é' * (length // 2)}'\nset -eu\nhead -c 3\necho; wc -c\nfalse\necho never"
    ended = run_reading(shell, script, b"abc" + b"x" * 100_000)
    assert (ended.returncode, ended.stdout) == (1, b"abc\n100000\n")
    assert all(len(word) < LONGEST_ARGUMENT for word in reading(script)[0])


@pytest.mark.parametrize("shell", SHELLS)
def test_a_long_script_that_was_cut_off_executes_nothing(shell: str) -> None:
    script = f"echo one\n: {'x' * LONGEST_ARGUMENT}\necho two"
    (_, *argv), first = reading(script)
    for length in (0, 1, 20, len(first) // 2, len(first) - 3):
        ended = subprocess.run(
            (shell, *argv), input=first[:length], capture_output=True, check=False
        )
        assert ended.stdout == b"", length
