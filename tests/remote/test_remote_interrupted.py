"""A connection serves on after whoever waits for its commands was interrupted, at whatever moment."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import pytest
from loopback_sshd import Sshd

from quoracy.aside import aside
from quoracy.remote.ssh import SshHost

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


@pytest.mark.usefixtures("alarms")
def test_what_waits_for_a_long_command_is_cut_off(sshd: Sshd) -> None:
    host = SshHost(sshd.target())
    signal.setitimer(signal.ITIMER_REAL, 1.0)
    with pytest.raises(KeyboardInterrupt):
        aside(lambda: host.run("sleep 600", what="sleep", timeout=700.0))
    host.close()
