"""Keep a lease alive while an operation runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import Self

from quoracy.db.holder import Holder
from quoracy.db.lease import EXPIRES_AFTER, beat
from quoracy.db.session import Database
from quoracy.errors import QuoracyError

BEAT_EVERY = timedelta(seconds=10)


class Heartbeat:
    """Beats for a lease in a thread of its own while the block runs.

    It never disturbs the run: what goes wrong is kept in `failures`, and `lost` says that the lease
    has gone to someone else. The hosts refuse what a former holder asks for.

    Args:
        db: Where the lease is.
        cluster: The cluster that the lease is for.
        holder: Who holds it.
        fence: Its number.
        every: Time between two beats.
        also: A second duty, done after each beat until the lease is lost; also when the database
            did not answer. It has a thread of its own, so a slow one delays no beat; beats that it
            misses while it is busy are not made up for.
    """

    def __init__(
        self,
        db: Database,
        cluster: str,
        holder: Holder,
        fence: int,
        *,
        every: timedelta = BEAT_EVERY,
        also: Callable[[], None] | None = None,
    ) -> None:
        self.failures: list[str] = []
        self.lost = False
        self._db = db
        self._lease = (cluster, holder, fence)
        self._also = also
        self._every = every.total_seconds()
        self._stop = threading.Event()
        self._has_beaten = threading.Event()
        duties = {f"lease {cluster}": self._beats}
        if also:
            duties[f"claim {cluster}"] = self._second_duty
        self._threads = [
            threading.Thread(target=duty, name=name, daemon=True) for name, duty in duties.items()
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._has_beaten.set()
        for thread in self._threads:
            # A beat that hangs in a dead connection must not keep the run from ending.
            thread.join(timeout=EXPIRES_AFTER.total_seconds())

    @property
    def trouble(self) -> tuple[str, ...]:
        """What is to be told with the outcome: each failure once, and that the lease was lost."""
        counted = {said: self.failures.count(said) for said in dict.fromkeys(self.failures)}
        said = [f"{text} ({times} times)" if times > 1 else text for text, times in counted.items()]
        cluster, _, fence = self._lease
        if self.lost:
            said.append(f"{cluster}: the lease with number {fence} was lost to someone else")
        return tuple(said)

    def _beats(self) -> None:
        cluster, holder, fence = self._lease

        def once() -> None:
            self.lost = not beat(self._db, cluster, holder, fence, self._db.now())

        while not self.lost and not self._stop.wait(self._every):
            self._try(once)
            self._has_beaten.set()

    def _second_duty(self) -> None:
        while self._has_beaten.wait() and not self.lost and not self._stop.is_set():
            self._has_beaten.clear()
            if self._also:
                self._try(self._also)

    def _try(self, duty: Callable[[], None]) -> None:
        try:
            duty()
        except QuoracyError as error:
            self.failures.append(str(error))
        except Exception as error:  # noqa: BLE001  a defect must not end the beats unseen
            self.failures.append(f"{type(error).__name__}: {error}")
