"""Keep a lease alive while an operation runs."""

from __future__ import annotations

import threading
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
    """

    def __init__(
        self,
        db: Database,
        cluster: str,
        holder: Holder,
        fence: int,
        *,
        every: timedelta = BEAT_EVERY,
    ) -> None:
        self.failures: list[str] = []
        self.lost = False
        self._db = db
        self._lease = (cluster, holder, fence)
        self._every = every.total_seconds()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"lease {cluster}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        # A beat that hangs in a dead connection must not keep the run from ending.
        self._thread.join(timeout=EXPIRES_AFTER.total_seconds())

    def _run(self) -> None:
        cluster, holder, fence = self._lease
        while not self.lost and not self._stop.wait(self._every):
            try:
                self.lost = not beat(self._db, cluster, holder, fence, self._db.now())
            except QuoracyError as error:
                self.failures.append(str(error))
            except Exception as error:  # noqa: BLE001  a defect must not end the beats unseen
                self.failures.append(f"{type(error).__name__}: {error}")
