"""How a host of a recorded cluster or service is reached."""

from __future__ import annotations

from quoracy.db.session import Database
from quoracy.errors import UsageError
from quoracy.home import Home
from quoracy.hosts.targets import SshTarget
from quoracy.operation.subject import Subject
from quoracy.specs.document import printed


def target_of(db: Database, home: Home, subject: str, host: str) -> SshTarget:
    """How a host of a cluster or a service is reached, as that was recorded last.

    Raises:
        UsageError: Nothing of that name is recorded, it has no such host, or its record cannot be used.
    """
    targets = {one.name: one for one in _targets_of(db, home, subject)}
    if host not in targets:
        raise UsageError(
            f"it has no host {host!r}", where=subject, next_step=f"name one of {', '.join(targets)}"
        )
    return targets[host]


def _targets_of(db: Database, home: Home, subject: str) -> tuple[SshTarget, ...]:
    from quoracy.etcd.record import recorded_targets as of_cluster
    from quoracy.services.record import recorded_targets as of_service

    try:
        known = Subject.parse(subject)
        recorded = of_service if known.kind == "service" else of_cluster
        return recorded(db, home, known.name)
    except ValueError as error:
        raise UsageError(
            f"its recorded spec cannot be used: {printed(str(error))[:300]}",
            where=subject,
            next_step="correct its file, and record it again",
        ) from None
