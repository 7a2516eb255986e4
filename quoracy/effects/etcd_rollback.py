"""operation-rollback put together: the journal of what was left half done, facts, plan, and the loop."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from quoracy.db.holder import this_process
from quoracy.db.lease import get_lease, held, is_live
from quoracy.db.models import Operation, StepRecord
from quoracy.db.operations import changing_operations, steps_of
from quoracy.db.session import Database
from quoracy.effects.etcd_deploy import known_cluster
from quoracy.effects.etcd_operation import EtcdOperation, settle_seconds
from quoracy.effects.operation import open_controller
from quoracy.errors import PlanChanged
from quoracy.facts.etcd_cluster import EtcdFacts
from quoracy.home import Home
from quoracy.operate.journal import PUT_BACK
from quoracy.plan.etcd_rollback import OPERATION, HalfDone, TakenStep, plan_etcd_rollback
from quoracy.plan.etcd_steps import undo_from_json
from quoracy.plan.plan import Plan
from quoracy.remote.pool import HostPool
from quoracy.spec.etcd import ssh_targets

# After these nothing is half done any more, whatever came before.
_CONVERGED = ("done", "nothing_to_do", "rolled_back")


@dataclass(slots=True, kw_only=True)
class EtcdRollback(EtcdOperation):
    """One operation-rollback under way."""

    half_done: HalfDone | None

    def decide(self, facts: EtcdFacts) -> Plan:
        """The plan as it is shown."""
        allowed = self.allow_downtime
        return plan_etcd_rollback(self.cluster, facts, self.half_done, allow_downtime=allowed)

    def decide_again(self, facts: EtcdFacts, shown: Plan, done: frozenset[str]) -> Plan:  # noqa: ARG002
        """What is left: a host that was put back is not put back again.

        Raises:
            PlanChanged: Another operation has come to its end since the plan was shown.
        """
        found = last_half_done(self.db, self.cluster.name)
        if (found and found.operation_id) != (self.half_done and self.half_done.operation_id):
            raise PlanChanged(
                "another operation has ended since the plan was shown",
                where=self.cluster.name,
                next_step=f"see `quoracy history {self.cluster.name}`, and run again",
            )
        allowed = self.allow_downtime
        return plan_etcd_rollback(self.cluster, facts, found, allow_downtime=allowed, done=done)


def find_half_done(db: Database, cluster: str) -> HalfDone | None:
    """The operation whose steps are to be put back, when nobody is at work.

    Raises:
        LeaseHeld: Somebody is still at it.
    """
    lease = get_lease(db, cluster)
    if lease is not None and is_live(lease, this_process(), db.now()):
        raise held(lease)
    return last_half_done(db, cluster)


def last_half_done(db: Database, cluster: str) -> HalfDone | None:
    """The newest operation with a way back, of those since the cluster was last as wanted.

    A later attempt may have failed without changing what an earlier one had left half done. Hosts
    that it has finished are left alone.
    """
    operations = changing_operations(db, cluster)
    fence = max((one.fence for one in operations if one.fence is not None), default=0)
    finished: frozenset[str] = frozenset()
    for operation in (one for one in operations if not _is_rollback(one)):
        if operation.outcome in _CONVERGED:
            return None
        rows = [row for row in steps_of(db, operation.id) if row.reason != PUT_BACK]
        found = _half_done(operation, rows, finished, fence)
        if found.to_put_back:
            return found
        finished |= _finished_hosts(rows)
    return None


def _is_rollback(operation: Operation) -> bool:
    """Whether it is a rollback that did not succeed: it says nothing about what it was to put back."""
    return operation.kind == OPERATION and operation.outcome != "done"


def _finished_hosts(rows: Sequence[StepRecord]) -> frozenset[str]:
    """Members whose group has come to its end."""
    groups = {row.group for row in rows} - {row.group for row in rows if row.state != "done"}
    return frozenset(row.host for row in rows if row.group in groups and row.group == row.host)


def _half_done(
    operation: Operation, rows: Sequence[StepRecord], finished: frozenset[str], fence: int
) -> HalfDone:
    return HalfDone(
        operation_id=operation.id,
        title=operation.title,
        undoes="all" if json.loads(operation.plan).get("undoes") == "all" else "group",
        unfinished=frozenset(row.group for row in rows if row.state != "done"),
        steps=tuple(
            TakenStep(row.group, row.host, row.title, undo_from_json(row.undo))
            for row in rows
            if row.state != "planned" and row.host not in finished
        ),
        fence=fence,
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
                subject=cluster,
                settle_s=settle_seconds(spec),
                cluster=spec,
                pool=pool,
                home=at_home,
                db=db,
                dry_run=dry_run,
                allow_downtime=allow_downtime,
                half_done=find_half_done(db, cluster),
            )
