"""operation-rollback put together: the journal of what was left half done, facts, plan, and the loop."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from quoracy.db.holder import this_process
from quoracy.db.lease import get_lease, held, is_live
from quoracy.db.models import Operation, StepRecord
from quoracy.db.operations import changing_operations, steps_of
from quoracy.db.session import Database
from quoracy.errors import PlanChanged
from quoracy.etcd import steps  # noqa: F401  their kinds are known from then on
from quoracy.etcd.deploy import known_cluster
from quoracy.etcd.facts_cluster import EtcdFacts
from quoracy.etcd.operation import EtcdOperation, settle_seconds
from quoracy.etcd.plan.rollback import OPERATION, HalfDone, TakenStep, plan_etcd_rollback
from quoracy.home import Home
from quoracy.hosts.pool import HostPool
from quoracy.hosts.targets import ssh_targets
from quoracy.operation.journal import PUT_BACK
from quoracy.operation.operation import open_controller
from quoracy.operation.plan import Plan
from quoracy.operation.step import steps_from_json


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

    A later attempt may have failed without changing what an earlier one had left half done, and one
    that works on something else, or only starts members, says nothing about it. Hosts that a later one
    has finished are left alone.
    """
    operations = changing_operations(db, cluster)
    fence = max((one.fence for one in operations if one.fence is not None), default=0)
    holders = frozenset(one.holder for one in operations)
    finished: frozenset[str] = frozenset()
    put_back = 0  # rollbacks that are done: each has put back the newest that was half done then
    for operation in operations:
        plan = json.loads(operation.plan)
        if operation.kind == OPERATION:
            put_back += operation.outcome == "done"
            continue
        if operation.outcome in ("done", "nothing_to_do") and plan.get("converges"):
            return None
        rows = [row for row in steps_of(db, operation.id) if row.reason != PUT_BACK]
        half_done = replace(_half_done(operation, plan, rows, finished, fence), holders=holders)
        if not half_done.to_put_back or operation.outcome in ("done", "rolled_back"):
            finished |= _finished_hosts(rows)
        elif put_back:
            put_back -= 1
        else:
            return half_done
    return None


def _finished_hosts(rows: Sequence[StepRecord]) -> frozenset[str]:
    """Members whose group has come to its end."""
    groups = {row.group for row in rows} - {row.group for row in rows if row.state != "done"}
    return frozenset(row.host for row in rows if row.group in groups and row.group == row.host)


def _half_done(
    operation: Operation,
    plan: Mapping[str, Any],
    rows: Sequence[StepRecord],
    finished: frozenset[str],
    fence: int,
) -> HalfDone:
    return HalfDone(
        operation_id=operation.id,
        title=operation.title,
        undoes="all" if plan.get("undoes") == "all" else "group",
        unfinished=frozenset(row.group for row in rows if row.state != "done"),
        steps=tuple(
            TakenStep(row.group, row.host, row.title, steps_from_json(row.undo))
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
