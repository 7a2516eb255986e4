from __future__ import annotations

import shlex
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from quoracy.errors import CommandFailed, CommandTimeout
from quoracy.hosts.command import command_line, guarded
from quoracy.hosts.ssh import SshHost
from tests.hosts.loopback_sshd import is_running, processes, wait_for


def test_result_holds_exit_code_and_both_streams(host: SshHost) -> None:
    result = host.run("echo out; echo err >&2; exit 3", what="try", check=False)
    assert (result.exit_code, result.stdout, result.stderr) == (3, b"out\n", b"err\n")


def test_failure_names_host_purpose_exit_code_and_stderr(host: SshHost) -> None:
    with pytest.raises(CommandFailed) as raised:
        host.run("echo no space left >&2; exit 28", what="write config")
    assert str(raised.value) == "one: write config failed with exit code 28: no space left"
    assert raised.value.exit_code_remote == 28


def test_metacharacters_arrive_as_they_are(host: SshHost) -> None:
    nasty = ("a b", "$HOME", "`id`", "'", '"', "\\", "; exit 9", "*", "\n}\n", "\u00fc \u20ac", "")
    result = host.run(shlex.join(("printf", "%s\\0", *nasty)), what="print")
    assert result.stdout.decode().split("\0")[:-1] == list(nasty)


def test_commands_read_nothing_not_the_rest_of_the_script(host: SshHost) -> None:
    assert (
        host.run("cat\nread -r line || echo end of input", what="read").stdout == b"end of input\n"
    )


def test_five_megabytes_on_both_streams_at_once(host: SshHost) -> None:
    script = "head -c 5000000 /dev/zero >&2 & head -c 5000000 /dev/zero; wait"
    result = host.run(script, what="shout")
    assert (len(result.stdout), len(result.stderr)) == (5_000_000, 5_000_000)


def test_one_stream_after_the_other(host: SshHost) -> None:
    script = "head -c 5000000 /dev/zero >&2; head -c 5000000 /dev/zero"
    result = host.run(script, what="shout")
    assert (len(result.stdout), len(result.stderr)) == (5_000_000, 5_000_000)


def test_script_larger_than_the_channel_window(host: SshHost) -> None:
    script = "# filler\n" * 400_000 + "echo done"
    assert host.run(script, what="run much").stdout == b"done\n"


def test_timeout_kills_the_script_and_its_children(host: SshHost, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 300 & echo $$ $! > {pids}; wait"
    with pytest.raises(CommandTimeout, match="wait long did not end within 1 s"):
        host.run(script, what="wait long", timeout=1)
    for pid in pids.read_text().split():
        wait_for(lambda pid=pid: not is_running(int(pid)), f"{pid} is gone")  # type: ignore[misc]


def test_timeout_kills_what_ignores_the_polite_signal(host: SshHost, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = f"trap '' TERM; echo $$ > {pid}; while :; do sleep 300; done"
    with pytest.raises(CommandTimeout):
        host.run(script, what="wait long", timeout=1)
    wait_for(lambda: not is_running(int(pid.read_text())), "the script is gone")


def test_an_inner_timeout_is_not_the_timeout_of_the_script(host: SshHost) -> None:
    assert host.run("exit 124", what="try", check=False).exit_code == 124


def test_a_script_killed_on_the_host_is_a_failure(host: SshHost) -> None:
    with pytest.raises(CommandFailed, match="exit code -1"):
        host.run("kill -9 $PPID", what="be killed")
    assert host.run("echo alive", what="try").stdout == b"alive\n"


def test_truncated_script_executes_nothing(host: SshHost, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    whole = guarded(f"touch {marker}\n" * 1000)
    transport = host.open()
    channel = transport.open_session()
    channel.exec_command(command_line("root", 4321, "sh", "-s"))
    channel.sendall(whole[: len(whole) // 2])
    of_ours = "timeout -k 5 4321 sh -s"
    wait_for(lambda: any(of_ours in one[2] for one in processes().values()), "the shell started")
    transport.sock.shutdown(socket.SHUT_RDWR)
    wait_for(lambda: not any(of_ours in one[2] for one in processes().values()), "it ended")
    assert not marker.exists()


def test_secrets_do_not_show_in_the_process_list(host: SshHost, tmp_path: Path) -> None:
    secret, marker = "hunter2-kept-to-itself", tmp_path / "marker"
    script = f"password={secret}\n: > {marker}\nwhile [ -e {marker} ]; do sleep 0.05; done\n"
    running = threading.Thread(target=host.run, args=(script,), kwargs={"what": "keep a secret"})
    running.start()
    wait_for(marker.exists, "the script runs")
    commands = [command for _, _, command in processes().values()]
    marker.unlink()
    running.join()
    assert any(command == "timeout -k 5 30 sh -s " for command in commands)
    assert not [command for command in commands if secret in command]


def test_more_parallel_runs_than_channels(host: SshHost) -> None:
    with ThreadPoolExecutor(12) as threads:
        numbers = list(range(12))
        ran = threads.map(lambda n: host.run(f"sleep 0.3; echo {n}", what=f"run {n}"), numbers)
        assert [int(result.stdout) for result in ran] == numbers


def test_small_packets_are_sent_at_once(host: SshHost) -> None:
    connection = host.open().sock
    assert isinstance(connection, socket.socket)
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
