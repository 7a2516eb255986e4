"""Give one host a number that operations from here can follow, when its own is beyond reason or unreadable."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from quoracy.commands.guard import Guard, renumbered
from quoracy.db.clusters import get_cluster
from quoracy.db.holder import this_process
from quoracy.db.lease import get_lease, held, highest_fence, is_live
from quoracy.db.operations import (
    NewOperation,
    PlannedStep,
    end_operation,
    plan_steps,
    start_operation,
    step_ended,
    step_started,
)
from quoracy.db.services import get_service
from quoracy.db.session import Database
from quoracy.effects.site import require_success
from quoracy.errors import QuoracyError, UsageError
from quoracy.home import Home
from quoracy.operate.run import Asked
from quoracy.remote.pool import HostPool
from quoracy.spec.document import printed
from quoracy.spec.etcd import recorded_cluster, ssh_targets
from quoracy.spec.host import SshTarget
from quoracy.spec.service import Service

KIND = "lease-renumber"
_SERVICE = "service:"


@dataclass(frozen=True, slots=True)
class Renumbered:
    """What was done on the host.

    Attributes:
        number: What the host has noted now.
        noted: What it had noted before; "" when that was left as it is.
    """

    number: int
    noted: str

    def __str__(self) -> str:
        """One line for people."""
        if not self.noted:
            return "nothing is to be done: its number can be followed from here"
        return f"its number is {self.number} now; {self.noted}"


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
    known_hosts = str(home.known_hosts)
    try:
        if not subject.startswith(_SERVICE):
            cluster = recorded_cluster(get_cluster(db, subject).spec)
            return ssh_targets(cluster, default_known_hosts=known_hosts)
        spec = json.loads(get_service(db, subject.removeprefix(_SERVICE)).spec)
        # Names only are recorded; values are not needed to reach a host.
        spec.pop("container_env", None)
        return ssh_targets(Service.model_validate(spec), default_known_hosts=known_hosts)
    except ValueError as error:
        raise UsageError(
            f"its recorded spec cannot be used: {printed(str(error))[:300]}",
            where=subject,
            next_step="correct its file, and record it again",
        ) from None


def renumber_host(
    db: Database, pool: HostPool, subject: str, host: str, asked: Asked
) -> Renumbered:
    """Write the database's number on one host, where its own is far above it or cannot be read.

    It is recorded in the history, as a run that held no lease: nobody who holds one acts on a host whose
    number keeps him off, and a live one is not interfered with.

    Raises:
        LeaseHeld: An operation works on it, here or by another controller within the last minute.
    """
    lease = get_lease(db, subject)
    if lease is not None and is_live(lease, this_process(), db.now()):
        raise held(lease)
    number = highest_fence(db, subject)
    return _recorded(db, subject, host, asked, lambda: _on_host(pool, subject, host, number))


def _on_host(pool: HostPool, subject: str, host: str, number: int) -> Renumbered:
    guard = Guard(subject, this_process().id, number)
    what = "write its number anew"
    result = pool[host].run(renumbered(guard), what=what, check=False)
    require_success(guard, host, result, what=what)
    return Renumbered(number, printed(result.stdout.decode("utf-8", "replace").strip()))


def _recorded(
    db: Database, subject: str, host: str, asked: Asked, act: Callable[[], Renumbered]
) -> Renumbered:
    """What is done by hand stands in the history like all else."""
    title = f"write the number that {host} has noted anew"
    operation = NewOperation(
        cluster=subject,
        kind=KIND,
        title=title,
        holder=this_process().id,
        requested_by=asked.by,
        origin=asked.origin,
        plan="{}",
        plan_digest="",
    )
    start_operation(db, operation, now=db.now())
    plan_steps(db, operation.id, [PlannedStep(1, "", host, "renumber", title, "")])
    step_started(db, operation.id, 1, now=db.now())
    try:
        done = act()
    except QuoracyError as error:
        step_ended(db, operation.id, 1, state="failed", now=db.now(), detail=error.what)
        end_operation(db, operation.id, "failed", now=db.now(), error=str(error))
        raise
    step_ended(db, operation.id, 1, state="done", now=db.now(), detail=str(done))
    end_operation(db, operation.id, "done", now=db.now())
    return done
