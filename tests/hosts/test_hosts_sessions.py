"""The channel that is opened ahead of the next command."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from quoracy.errors import HostUnreachable
from quoracy.hosts.ssh import SshHost
from tests.hosts.loopback_sshd import Sshd, wait_for

OPENED = "ctype session"  # in sshd's log at LogLevel DEBUG1


def test_the_channel_of_the_next_command_is_open_before_it_is_asked_for(
    start_sshd: Callable[..., Sshd],
) -> None:
    sshd = start_sshd("LogLevel DEBUG1")
    host = SshHost(sshd.target())
    try:
        host.open()
        wait_for(lambda: sshd.log.read_text().count(OPENED) == 1, "a channel without a command")
        for command in (1, 2, 3):
            assert host.run(f"echo {command}", what="say").stdout == f"{command}\n".encode()
            ahead = command + 1
            wait_for(lambda: sshd.log.read_text().count(OPENED) == ahead, "the next channel")  # noqa: B023
    finally:
        host.close()


def test_a_host_that_allows_two_sessions_is_asked_one_thing_after_the_other(
    start_sshd: Callable[..., Sshd],
) -> None:
    host = SshHost(start_sshd("MaxSessions 2").target())
    try:
        said = [host.run(f"echo {number}", what="say").stdout for number in range(20)]
    finally:
        host.close()

    assert said == [f"{number}\n".encode() for number in range(20)]


def test_a_session_that_sshd_has_not_cleaned_up_yet_is_waited_for(
    start_sshd: Callable[..., Sshd],
) -> None:
    host = SshHost(start_sshd("MaxSessions 1").target())
    host.open()
    try:
        with ThreadPoolExecutor(3) as threads:
            ran = threads.map(lambda n: host.run(f"sleep 0.3; echo {n}", what="say"), range(3))
            assert [result.stdout for result in ran] == [b"0\n", b"1\n", b"2\n"]
    finally:
        host.close()


def test_a_host_that_allows_no_session_says_so(start_sshd: Callable[..., Sshd]) -> None:
    host = SshHost(start_sshd("MaxSessions 0").target())
    try:
        with pytest.raises(HostUnreachable, match="no channel could be opened"):
            host.run("true", what="look at the host")
    finally:
        host.close()
