"""operation-rollback put together: the journal of what was left half done, facts, plan, and the loop."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from quoracy.db.holder import this_process
from quoracy.db.lease import get_lease, held, is_live
from quoracy.db.models import Operation
from quoracy.db.operations import history, steps_of
from quoracy.db.session import Database
from quoracy.effects.etcd_deploy import known_cluster
from quoracy.effects.etcd_operation import EtcdOperation, open_controller
from quoracy.facts.etcd_cluster import EtcdFacts
from quoracy.home import Home
from quoracy.operate.journal import PUT_BACK
from quoracy.plan.etcd_rollback import OPERATION, HalfDone, TakenStep, plan_etcd_rollback
from quoracy.plan.etcd_steps import undo_from_json
from quoracy.plan.plan import BACKUP, Plan
from quoracy.remote.pool import HostPool
from quoracy.spec.etcd import ssh_targets

# What ended well, or put itself back, leaves nothing half done; nor is anything where nothing is to do.
_WHOLE = ("done", "rolled_back", "stopped", "nothing_to_do")


@dataclass(slots=True, kw_only=True)
class EtcdRollback(EtcdOperation):
    """One operation-rollback under way."""

    half_done: HalfDone | None

    def decide(self, facts: EtcdFacts) -> Plan:
        """The plan as it is shown."""
        allowed = self.allow_downtime
        return plan_etcd_rollback(self.cluster, facts, self.half_done, allow_downtime=allowed)

    def decide_again(self, facts: EtcdFacts, shown: Plan, done: frozenset[str]) -> Plan:  # noqa: ARG002
        """What is left: a host that was put back is not put back again."""
        found = self.decide(facts)
        left = tuple(group for group in found.groups if group.title not in done)
        return replace(found, groups=left)


def find_half_done(db: Database, cluster: str) -> HalfDone | None:
    """The last operation that changed hosts, when it did not come to its end.

    Raises:
        LeaseHeld: Somebody is still at it.
    """
    lease = get_lease(db, cluster)
    if lease is not None and is_live(lease, this_process(), db.now()):
        raise held(lease)
    for operation in history(db, cluster):
        if operation.kind == OPERATION and operation.outcome != "done":
            continue  # it says nothing about what it was to put back
        if operation.outcome in _WHOLE:
            return None
        if operation.fence is not None and _began(db, operation):
            return _half_done(db, operation)
    return None


def _began(db: Database, operation: Operation) -> bool:
    """Whether any step was begun that changes hosts: the backup changes nothing."""
    steps = steps_of(db, operation.id)
    return any(step.state != "planned" and step.group != BACKUP for step in steps)


def _half_done(db: Database, operation: Operation) -> HalfDone:
    rows = [row for row in steps_of(db, operation.id) if row.reason != PUT_BACK]
    return HalfDone(
        operation_id=operation.id,
        title=operation.title,
        undoes="all" if json.loads(operation.plan).get("undoes") == "all" else "group",
        unfinished=frozenset(row.group for row in rows if row.state != "done"),
        steps=tuple(
            TakenStep(row.group, row.host, row.title, undo_from_json(row.undo))
            for row in rows
            if row.state != "planned"
        ),
    )


@contextmanager
def open_etcd_rollback(
    cluster: str, home: Home | None = None, *, dry_run: bool = False, allow_downtime: bool = False
) -> Iterator[EtcdRollback]:
    """Load the cluster's spec and journal, and hold its connections while the block runs.

    Raises:
        UsageError: The cluster is unknown.
    """
    with open_controller(home) as (at_home, db):
        spec, _ = known_cluster(db, cluster, None)
        with HostPool(ssh_targets(spec, default_known_hosts=str(at_home.known_hosts))) as pool:
            yield EtcdRollback(
                cluster=spec,
                pool=pool,
                home=at_home,
                db=db,
                dry_run=dry_run,
                allow_downtime=allow_downtime,
                half_done=find_half_done(db, cluster),
            )
