from __future__ import annotations

import time

import paramiko

from quoracy.hosts.exchange import started

REPLY_TAKES_S = 0.2


class _SlowToReply(paramiko.Channel):
    """Its command was started long before the reply arrives, and is over."""

    def __init__(self) -> None:
        super().__init__(1)
        self.exit_status, self.eof_received = 0, True

    def exec_command(self, command: object) -> None:
        time.sleep(REPLY_TAKES_S)


def test_the_time_of_a_command_includes_the_wait_for_the_reply() -> None:
    channel = _SlowToReply()
    with started(
        channel, "true", what="try", where="one", limit=5.0, broken=paramiko.SSHException
    ) as exchange:
        assert exchange.elapsed >= REPLY_TAKES_S
