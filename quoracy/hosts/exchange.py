"""The exchange of bytes with one remote command: feed it, drain it, learn how it ended."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

from quoracy.aside import LOOK_S, require_uncut
from quoracy.errors import CommandTimeout, HostUnreachable
from quoracy.hosts.channel import Channel
from quoracy.hosts.command import KILLED_BY_SIGNAL, too_long
from quoracy.hosts.host import Result
from quoracy.hosts.limits import ANSWER_BYTES

WRITE_BYTES = 64 * 1024
"""The rest of a piece is copied for every packet: 50 MB at once took 29-59 s."""

REPLY_S = 30.0
"""Seconds within which sshd must have started a command: a host that swaps may answer to nothing but TCP."""

READ_BYTES = 1024 * 1024
"""Reading removes from the front of a buffer of up to the window (2 MiB), so few large reads are cheaper."""


class DeadlinePassed(Exception):
    """The command was not over when the controller stopped waiting."""


class AnswerTooLong(Exception):
    """The command printed more than it may."""


class _Wake(threading.Event):
    """Set whenever either stream has news; only its waiter resets it.

    The buffers clear their event when they are empty, but one stream being empty says nothing about
    the other. `Channel.fileno` would serve too, yet closing the channel closes that descriptor under the poller.
    """

    def clear(self) -> None:
        """Leave the event as it is."""

    def reset(self) -> None:
        """Forget past news; look at the streams after this, not before."""
        super().clear()


@contextmanager
def started(
    channel: Channel,
    line: str,
    *,
    what: str,
    where: str,
    limit: float,
    broken: type[Exception],
) -> Iterator[Exchange]:
    """Start a command; the block then talks to it and has it whole, or one of these is raised.

    Args:
        channel: A new session channel; the caller closes it.
        line: The command line for the login shell.
        what: What the command is for.
        where: The host's name.
        limit: Seconds the controller waits for the command to be over.
        broken: What the SSH library raises when the connection breaks.

    Raises:
        CommandTimeout: The command was not over at the limit.
        HostUnreachable: The connection broke; whether the command was done is unknown.
        RemoteError: The command printed more than it may.
    """
    begun = time.monotonic()  # the host counts from before its reply, which may be slow to arrive
    try:
        _execute(channel, line, limit)
    except (broken, EOFError, OSError) as error:
        raise _lost(what, where) from error
    try:
        yield Exchange(channel, begun, limit)
    except DeadlinePassed as error:
        raise CommandTimeout(
            f"{what} gave no sign of its end within {limit:g} s; it may still be running",
            where=where,
            next_step="look at what it left behind before running it again",
        ) from error
    except AnswerTooLong as error:
        raise too_long(what, where, ANSWER_BYTES) from error
    except (broken, EOFError) as error:
        raise _lost(what, where) from error
    if _was_cut_off(channel):
        raise _lost(what, where)


def _execute(channel: Channel, line: str, limit: float) -> None:
    """Start the command; paramiko waits for the reply without a timeout of its own.

    sshd replies as soon as it has forked. Input cannot follow the request at once, which would save a round
    trip: OpenSSH opens a session's window with the start of its command (channels.c, SSH_CHANNEL_LARVAL).
    """

    def give_up() -> None:
        with suppress(EOFError):  # as in `_write`
            channel.close()
        channel.event.set()

    watchdog = threading.Timer(min(limit, REPLY_S), give_up)
    watchdog.daemon = True
    watchdog.start()
    try:
        channel.exec_command(line)
    finally:
        watchdog.cancel()


def _was_cut_off(channel: Channel) -> bool:
    """Whether the host did not tell how the command ended, or that its output was complete."""
    if channel.exit_status != KILLED_BY_SIGNAL and channel.eof_received:
        return False
    # A command that a signal ended has no exit code either. The transport's thread closes its channels a
    # moment before it ends itself.
    transport = channel.get_transport()
    transport.join(0.2)
    return not transport.is_active()


def _lost(what: str, where: str) -> HostUnreachable:
    return HostUnreachable(
        f"connection lost while: {what}; whether it was done is unknown",
        where=where,
        next_step="run the operation again: it looks at the host first and does what is left",
    )


class Exchange:
    """A command that runs on a channel; nothing in it waits beyond the deadline.

    Args:
        channel: A channel on which the command was started.
        begun: When the host was asked to start it, by the monotonic clock.
        seconds: How long from then the controller waits for the command to be over.
    """

    def __init__(self, channel: Channel, begun: float, seconds: float) -> None:
        self._channel = channel
        self._begun = begun
        self._deadline = begun + seconds

    @property
    def elapsed(self) -> float:
        """Seconds since the host was asked to start the command."""
        return time.monotonic() - self._begun

    def feed(self, chunks: Iterable[bytes]) -> None:
        """Write the chunks to the command's standard input and end it.

        A command that is over before it has read everything is no error here: its exit code tells.

        Raises:
            DeadlinePassed: The command took no more input in time.
        """
        for chunk in chunks:
            for start in range(0, len(chunk), WRITE_BYTES):
                if not self._write(chunk[start : start + WRITE_BYTES]):
                    return
        if not self._channel.closed:
            with suppress(EOFError):  # as in `_write`
                self._channel.shutdown_write()

    def _write(self, piece: bytes) -> bool:
        while piece:
            require_uncut()
            self._channel.settimeout(min(self._remaining(), LOOK_S))
            try:
                piece = piece[self._channel.send(piece) :]
            except TimeoutError:
                continue  # nothing was sent: the command does not read
            except (OSError, EOFError):
                # "Socket is closed": the command is over, or the connection is; which of them, the exit
                # code tells. paramiko's packetizer raises EOFError once the transport is closed.
                return False
        return True

    def output(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield pieces of standard output and standard error as they come, until both have ended.

        What is not asked for stays on the host: the channel's window (2 MiB) bounds the memory.

        Raises:
            DeadlinePassed: The streams did not end in time.
        """
        channel, wake = self._channel, _Wake()
        channel.in_buffer.set_event(wake)
        channel.in_stderr_buffer.set_event(wake)
        while True:
            require_uncut()
            wake.reset()
            ended = channel.closed or channel.eof_received
            stdout = channel.recv(READ_BYTES) if channel.recv_ready() else b""
            stderr = channel.recv_stderr(READ_BYTES) if channel.recv_stderr_ready() else b""
            if stdout or stderr:
                yield stdout, stderr
            elif ended:
                return
            else:
                self._wait(wake)

    def result(self) -> Result:
        """Return all of standard output and standard error once the command is over.

        Raises:
            AnswerTooLong: They are more than a host may tell; the channel is closed.
        """
        stdout, stderr = bytearray(), bytearray()
        for from_stdout, from_stderr in self.output():
            stdout += from_stdout
            stderr += from_stderr
            if len(stdout) + len(stderr) > ANSWER_BYTES:
                self._channel.close()  # also for whoever feeds it
                raise AnswerTooLong
        return Result(self.exit_code(), bytes(stdout), bytes(stderr))

    def result_while_feeding(self, chunks: Iterable[bytes]) -> Result:
        """Feed the chunks while another thread reads, so that neither side waits for the other."""
        with ThreadPoolExecutor(1, "drain") as thread:
            result = thread.submit(contextvars.copy_context().run, self.result)
            try:
                self.feed(chunks)
            except BaseException:
                self._channel.close()  # the reading thread finds the end of its streams
                raise
            return result.result()

    def exit_code(self) -> int:
        """Wait for the command's end; `KILLED_BY_SIGNAL` also when the connection broke.

        Raises:
            DeadlinePassed: The command did not end in time.
        """
        self._wait(self._channel.status_event)
        return self._channel.exit_status

    def _wait(self, news: threading.Event) -> None:
        while not news.wait(min(self._remaining(), LOOK_S)):
            require_uncut()

    def _remaining(self) -> float:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise DeadlinePassed
        return remaining
