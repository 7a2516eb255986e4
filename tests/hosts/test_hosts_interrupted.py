"""A connection serves on after whoever waits for its commands was interrupted, at whatever moment."""

from __future__ import annotations

import itertools
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from quoracy.aside import CutOff, aside, pause
from quoracy.hosts.ssh import SshHost
from tests.hosts.loopback_sshd import Sshd

TIMES = 200


@pytest.fixture
def alarms() -> Iterator[None]:
    """An alarm is a Ctrl-C."""
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("alarms")
def test_two_hundred_interruptions_leave_a_connection_that_serves(sshd: Sshd) -> None:
    """Run in the interrupted thread itself, one of the first 130 hung or broke it, six times out of six."""
    chance = random.Random(20)
    host = SshHost(sshd.target())
    ask = partial(host.run, "true", what="ask", timeout=10.0)
    ask()
    connection = host.open()
    for _ in range(TIMES):
        with suppress(KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.0001, 0.03))
            while True:
                aside(ask)
        assert ask().exit_code == 0
    assert host.open() is connection
    host.close()


def send_without_end(host: SshHost) -> None:
    """The command reads nothing: the channel's window is soon full."""
    host.send("sleep 600", itertools.repeat(bytes(65536)), what="send", timeout=700.0)


def receive_without_end(host: SshHost) -> None:
    """There is always something to read, and never time to wait."""
    for _ in host.receive("exec cat /dev/zero", what="receive", timeout=700.0, limit=2**40):
        time.sleep(0.05)


@pytest.mark.usefixtures("alarms")
@pytest.mark.parametrize(
    "use",
    [
        lambda host: host.run("sleep 600", what="sleep", timeout=700.0),
        send_without_end,
        receive_without_end,
    ],
    ids=["waiting", "sending", "receiving"],
)
def test_what_takes_long_is_cut_off(sshd: Sshd, use: Callable[[SshHost], object]) -> None:
    host = SshHost(sshd.target())
    signal.setitimer(signal.ITIMER_REAL, 1.0)
    with pytest.raises(KeyboardInterrupt):
        aside(partial(use, host))
    assert host.run("true", what="ask").exit_code == 0
    host.close()


@pytest.mark.usefixtures("alarms")
def test_after_it_was_cut_off_work_begins_nothing_on_a_host(sshd: Sshd, tmp_path: Path) -> None:
    host = SshHost(sshd.target())
    host.open()

    def work() -> None:
        with pytest.raises(CutOff):
            pause(60)
        host.send(f"touch {tmp_path}/begun; cat", [b"x"], what="begin")

    signal.setitimer(signal.ITIMER_REAL, 0.1)
    with pytest.raises(KeyboardInterrupt):
        aside(work)
    host.run("sleep 0.5", what="let what has begun go on")
    host.close()
    assert not (tmp_path / "begun").exists()
