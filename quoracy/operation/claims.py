"""The holds of one operation on its hosts: taken before anything is looked at, repeated, let go."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial

from quoracy.errors import QuoracyError
from quoracy.hosts.host import Result
from quoracy.hosts.pool import HostPool
from quoracy.operation.guard import OWN_BUSY, Guard, claimable, guarded, released
from quoracy.operation.lease import Leased
from quoracy.operation.site import require_success

# Who is in the middle of a script there keeps the host anyway.
WAIT_SECONDS = 5


class Claims:
    """Tells the hosts of a cluster or a service who acts on it.

    A host obeys its holder until it hears of a higher number, and forgets him after a minute of
    silence: so the claim is repeated with each beat of the lease, also on hosts that a long step
    does not touch.

    Args:
        needed: Hosts that the operation changes. One of the others may be dead, as long as most
            hosts are claimed: nobody else gets as many.
        seen: The number that each host has seen, as far as it was asked.
    """

    def __init__(
        self, subject: str, pool: HostPool, needed: frozenset[str], seen: Mapping[str, int]
    ) -> None:
        self._subject = subject
        self._pool = pool
        self._needed = needed
        self._seen = seen
        self._taken = False
        self._one_at_a_time = threading.Lock()
        self._let_go = False

    def guard(self, operation: Leased) -> Guard:
        """What an operation that holds the lease presents to the hosts."""
        return Guard(
            self._subject,
            operation.holder,
            operation.fence,
            operation.successor_of,
            self._seen,
        )

    def take(self, operation: Leased) -> None:
        """Tell every host of the holder; one before him may only be paused, and is obeyed no more.

        Raises:
            QuoracyError: A host refuses, or cannot be told.
        """
        guard = self.guard(operation)
        with self._one_at_a_time:
            if self._let_go:
                return
            if not self._taken and len(self._pool) > 1:
                # All are asked first: a claim that one host refuses must not have raised the number on
                # the others, under the operation that acts there.
                ask = partial(claimable, wait_s=WAIT_SECONDS)
                what = "ask whether the host can be claimed"
                self._judge(guard, self._everywhere(guard, ask, what))
            claim = partial(guarded, body=":\n", wait_s=WAIT_SECONDS)
            answers = self._everywhere(guard, claim, "claim the host")
        try:
            self._judge(guard, answers)
        except QuoracyError:
            if not self._taken:
                self.let_go(operation)
            raise
        self._taken = True

    def _everywhere(
        self, guard: Guard, script: Callable[[Guard], str], what: str
    ) -> dict[str, Result | QuoracyError]:
        limit = WAIT_SECONDS + 10.0
        return self._pool.each(
            lambda host: host.run(
                script(guard.on(host.name)), what=what, timeout=limit, check=False
            )
        )

    def _judge(self, guard: Guard, answers: Mapping[str, Result | QuoracyError]) -> None:
        """Raise what stands against going on; a refusal counts more than a host that is away."""
        away = {name: one for name, one in answers.items() if isinstance(one, QuoracyError)}
        for name, answer in answers.items():
            # When our own script has the lock, nobody else can have the host.
            if not isinstance(answer, QuoracyError) and answer.exit_code != OWN_BUSY:
                require_success(guard, name, answer, what="claim the host")
        for name, error in away.items():
            if name in self._needed or 2 * len(away) >= len(answers):
                raise error

    def let_go(self, operation: Leased) -> None:
        """Tell the hosts that the holder has ended; one that cannot be told waits for a minute."""
        with self._one_at_a_time:
            self._let_go = True
            self._everywhere(self.guard(operation), released, "let go")
