from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import paramiko
import pytest

from quoracy.errors import (
    CommandTimeout,
    HostKeyRejected,
    HostUnreachable,
    QuoracyError,
    UsageError,
)
from quoracy.hosts.exchange import started
from quoracy.hosts.ssh import SshHost
from quoracy.hosts.trust import fetch_host_key, trust
from tests.hosts.loopback_sshd import Relay, Sshd, free_port, make_key, processes, wait_for


def signal_sessions(sshd: Sshd, number: signal.Signals) -> None:
    """Signal the processes of its connections; one that was only asked for its key may end meanwhile."""
    for pid, (parent, _, _) in processes().items():
        if parent == sshd.process.pid:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def relayed(sshd: Sshd, relay: Relay, tmp_path: Path) -> Sshd:
    """The same sshd, trusted and reached through the relay."""
    known_hosts = tmp_path / "relayed"
    key = fetch_host_key("127.0.0.1", sshd.port)
    trust(known_hosts, "127.0.0.1", relay.port, key)
    return dataclasses.replace(sshd, port=relay.port, known_hosts=known_hosts)


def test_a_server_that_hangs_up_is_tried_again(
    sshd: Sshd, start_relay: Callable[..., Relay], tmp_path: Path
) -> None:
    relay = start_relay(sshd.port, hang_up_on=2)
    host = SshHost(relayed(sshd, relay, tmp_path).target())
    assert host.run("echo at last", what="try").stdout == b"at last\n"
    assert relay.connections == 3
    host.close()


def test_a_server_that_always_hangs_up_is_unreachable_after_three_times(
    sshd: Sshd, start_relay: Callable[..., Relay], tmp_path: Path
) -> None:
    relay = start_relay(sshd.port, hang_up_on=99)
    with pytest.raises(HostUnreachable, match="no SSH connection"):
        SshHost(relayed(sshd, relay, tmp_path).target()).open()
    assert relay.connections == 3


def test_a_refused_login_is_not_tried_again(
    sshd: Sshd, start_relay: Callable[..., Relay], tmp_path: Path
) -> None:
    relay = start_relay(sshd.port)
    key = str(make_key(tmp_path / "other_key"))
    target = dataclasses.replace(relayed(sshd, relay, tmp_path).target(), key_file=key)
    with pytest.raises(HostUnreachable, match=r"refused the login of root with .*other_key"):
        SshHost(target).open()
    assert relay.connections == 1


def test_a_refused_host_key_is_not_tried_again(
    sshd: Sshd, start_relay: Callable[..., Relay], tmp_path: Path
) -> None:
    relay = start_relay(sshd.port)
    through = relayed(sshd, relay, tmp_path)
    with pytest.raises(HostKeyRejected):
        SshHost(through.target(known_hosts=tmp_path / "none")).open()
    assert relay.connections == 1


def test_a_port_where_nobody_listens_is_unreachable(sshd: Sshd) -> None:
    target = dataclasses.replace(sshd.target(), port=free_port())
    with pytest.raises(HostUnreachable, match=f"no SSH connection to 127.0.0.1 port {target.port}"):
        SshHost(target).open()


def test_a_key_file_that_cannot_be_used_is_the_users_mistake(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a key")
    for name in ("missing", "text"):
        target = dataclasses.replace(sshd.target(), key_file=str(tmp_path / name))
        with pytest.raises(UsageError, match="private key cannot be read"):
            SshHost(target).open()


def test_without_key_file_the_agent_is_asked(
    sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = subprocess.Popen(("ssh-agent", "-D", "-a", str(tmp_path / "agent")))
    try:
        wait_for((tmp_path / "agent").exists, "the agent listens")
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        target = dataclasses.replace(sshd.target(), key_file=None)
        with pytest.raises(QuoracyError):
            SshHost(target).open()
        subprocess.run(("ssh-add", "-q", str(sshd.key_file)), check=True)
        host = SshHost(target)
        assert host.run("echo in", what="try").stdout == b"in\n"
        host.close()
    finally:
        agent.terminate()
        agent.wait()


def test_connection_lost_in_a_command_is_not_retried_and_the_next_one_connects(
    start_sshd: Callable[..., Sshd], tmp_path: Path
) -> None:
    sshd = start_sshd()
    host, count = SshHost(sshd.target()), tmp_path / "count"
    errors: list[QuoracyError] = []

    def run() -> None:
        try:
            host.run(f"echo once >> {count}; sleep 60", what="join the cluster")
        except QuoracyError as error:
            errors.append(error)

    running = threading.Thread(target=run)
    running.start()
    wait_for(count.exists, "the script runs")
    signal_sessions(sshd, signal.SIGKILL)
    running.join()
    assert isinstance(errors[0], HostUnreachable)
    assert "connection lost while: join the cluster; whether it was done is unknown" in str(
        errors[0]
    )
    assert count.read_text() == "once\n"
    assert host.run("echo again", what="try").stdout == b"again\n"
    host.close()


def test_connection_lost_in_a_download_is_told_after_what_came(
    start_sshd: Callable[..., Sshd],
) -> None:
    sshd = start_sshd()
    host = SshHost(sshd.target())
    chunks = host.receive("echo start; sleep 60", what="download")
    assert next(chunks) == b"start\n"
    signal_sessions(sshd, signal.SIGKILL)
    with pytest.raises(HostUnreachable, match="connection lost while: download"):
        next(chunks)
    host.close()


def test_the_controller_stops_waiting_for_a_host_that_does_not_end_a_command(sshd: Sshd) -> None:
    host = SshHost(sshd.target())
    with (
        host.open().open_session() as channel,
        pytest.raises(CommandTimeout, match="it may still be running"),
        started(
            channel, "sleep 5", what="x", where="one", limit=0.5, broken=paramiko.SSHException
        ) as exchange,
    ):
        exchange.result()
    host.close()


def test_the_controller_stops_waiting_for_a_host_that_does_not_answer(
    start_sshd: Callable[..., Sshd],
) -> None:
    sshd = start_sshd()
    host = SshHost(sshd.target())
    channel = host.open().open_session()
    signal_sessions(sshd, signal.SIGSTOP)
    try:
        with (
            pytest.raises(HostUnreachable, match="whether it was done is unknown"),
            started(
                channel, "true", what="x", where="one", limit=0.5, broken=paramiko.SSHException
            ),
        ):
            pytest.fail("the command was started")
    finally:
        signal_sessions(sshd, signal.SIGCONT)
    host.close()


def test_a_closed_host_is_not_connected_again(sshd: Sshd) -> None:
    host = SshHost(sshd.target())
    host.run("true", what="try")
    host.close()
    with pytest.raises(HostUnreachable, match="has closed its connection"):
        host.run("true", what="try")


def test_failures_print_no_traceback_of_paramiko(tmp_path: Path) -> None:
    program = (
        "from quoracy.hosts.trust import fetch_host_key\n"
        "import socket, threading\n"
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "threading.Thread(target=lambda: listener.accept()[0].close(), daemon=True).start()\n"
        "try:\n"
        "    fetch_host_key('127.0.0.1', listener.getsockname()[1], 5)\n"
        "except Exception as error:\n"
        "    print(type(error).__name__)\n"
    )
    ended = subprocess.run((sys.executable, "-c", program), capture_output=True, check=True)
    assert (ended.stdout, ended.stderr) == (b"HostUnreachable\n", b"")
