"""Everything that the effects of one operation work with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from quoracy.db.session import Database
from quoracy.errors import CommandFailed, LeaseHeld, RemoteError
from quoracy.home import Home
from quoracy.hosts.host import Host, Result
from quoracy.hosts.limits import LINE_BYTES, SHOWN_BYTES
from quoracy.hosts.pool import HostPool
from quoracy.operation.guard import (
    FENCED,
    HELD,
    LOCK_BUSY,
    LOCK_SECONDS,
    OWN_BUSY,
    UNREADABLE,
    Guard,
    guarded,
    settled,
)
from quoracy.plain import plain
from quoracy.secrets import Resolver

PUSH_S = 600.0
"""For all that is done with a push beside reading it: the lock, copies, a slow disk."""
SLOWEST_BYTES_S = 100_000
"""A line of 1 Mbit/s; a connection that is gone is noticed long before (`UNACKNOWLEDGED_MS` in remote/ssh.py)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What is worked on, its hosts, and the controller's own places.

    Attributes:
        subject: What lease, journal and hosts know it by.
        settle_s: Seconds that the longest script may go on after its connection broke.
        guard: Who acts; presented to the hosts by every changing script.
        stamp: Tells files of this operation from those of others (the operation's ID).
        resolvers: How references to secrets are resolved, by scheme.
    """

    subject: str
    settle_s: int
    pool: HostPool
    home: Home
    db: Database
    guard: Guard
    stamp: str
    resolvers: Mapping[str, Resolver]

    def change(self, host: str, script: str, *, what: str, timeout: float = 60.0) -> bytes:
        """Run a changing script on a host, under the subject's lock there; returns its output.

        Args:
            timeout: Seconds for the script itself, once it has the lock.
        """
        body, limit = guarded(self.guard.on(host), script), timeout + LOCK_SECONDS
        result = self.pool[host].run(body, what=what, timeout=limit, check=False)
        if result.exit_code == OWN_BUSY:
            # A connection of ours broke in the middle of a script, which goes on by itself.
            self.settle(host)
            result = self.pool[host].run(body, what=what, timeout=limit, check=False)
        require_success(self.guard, host, result, what=what)
        return result.stdout

    def settle(self, host: str) -> None:
        """Wait until no script of an operation runs on the host any more."""
        let_settle(self.subject, self.pool[host], self.settle_s)

    def push(
        self, host: str, script: str, chunks: Iterable[bytes], *, what: str, size: int
    ) -> None:
        """Run a changing script that reads the chunks, under the subject's lock there.

        Args:
            size: About how many bytes the chunks have; the more, the longer it may take.
        """
        limit = PUSH_S + size / SLOWEST_BYTES_S
        try:
            body = guarded(self.guard.on(host), script)
            self.pool[host].send(body, chunks, what=what, timeout=limit)
        except CommandFailed as error:
            _raise_refusal(self.guard, host, error.exit_code_remote, what)
            raise

    def stream(self, host: str, script: str, *, what: str, timeout: float) -> Iterator[str]:
        """Run a changing script, under the subject's lock there, and yield its output line by line.

        Args:
            timeout: Seconds for the script itself, once it has the lock.
        """
        body, limit = guarded(self.guard.on(host), script), timeout + LOCK_SECONDS
        try:
            chunks = self.pool[host].receive(body, what=what, limit=SHOWN_BYTES, timeout=limit)
            yield from map(plain, lines_of(chunks))
        except CommandFailed as error:
            _raise_refusal(self.guard, host, error.exit_code_remote, what)
            raise


def lines_of(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines of a stream; of one that is longer than any that people write, the beginning."""
    line = bytearray()  # at most one byte more than is shown
    for chunk in chunks:
        *ended, begun = chunk.split(b"\n")
        for part in ended:
            line += part[: LINE_BYTES + 1 - len(line)]
            yield _shown(line)
            line.clear()
        line += begun[: LINE_BYTES + 1 - len(line)]
    if line:
        yield _shown(line)


def _shown(line: bytearray) -> str:
    cut = " …" if len(line) > LINE_BYTES else ""
    return line[:LINE_BYTES].decode("utf-8", "replace") + cut


def let_settle(subject: str, host: Host, seconds: int) -> None:
    """Wait for what a broken connection or a dead process has left running on a host.

    It ends as soon as the host's lock is free, and gives up after that many seconds.
    """
    script = settled(subject, seconds)
    host.run(script, what="let it settle", timeout=seconds + 10.0, check=False)


def require_success(guard: Guard, host: str, result: Result, *, what: str) -> None:
    """Raise what the exit code of a guarded script means.

    Raises:
        LeaseHeld: The host refused it: another operation acts on the cluster.
        CommandFailed: The script itself failed.
    """
    _raise_refusal(guard, host, result.exit_code, what)
    if result.exit_code:
        stderr = result.stderr.decode("utf-8", "replace")
        raise CommandFailed(what, where=host, exit_code_remote=result.exit_code, stderr=stderr)


def _raise_refusal(guard: Guard, host: str, exit_code: int, what: str) -> None:
    """Tell a refusal by the host's guard from a failure of the script itself.

    Raises:
        LeaseHeld: Another operation acts on the cluster, or has acted since this one began.
        RemoteError: A script of this operation, whose connection broke, still runs there; or it cannot
            be told who has acted there.
    """
    if exit_code == OWN_BUSY:
        raise RemoteError(
            f"{what}: an earlier script of this operation still runs there",
            where=host,
            next_step="look at the host's load, and run the operation again",
        )
    if exit_code == UNREADABLE:
        raise RemoteError(
            f"{what}: what the host has noted of the operation that acted there last cannot be read",
            where=host,
            next_step=f"when nobody works on it: `quoracy lease renumber {guard.cluster} {host}`",
        )
    reasons = {
        LOCK_BUSY: "another operation is in the middle of a step there",
        FENCED: "a later operation has already acted there, so this one may no longer act",
        HELD: "another operation acted there within the last minute",
    }
    if exit_code in reasons:
        raise LeaseHeld(
            reasons[exit_code],
            where=host,
            next_step=f"see `quoracy lease show {guard.cluster}`, and run again when it has ended",
        )
