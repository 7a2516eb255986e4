"""An operation on an etcd cluster: its hosts are asked for members, its steps act on a site."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from quoracy.commands.guard import Guard
from quoracy.effects.etcd_steps import apply_etcd_step
from quoracy.effects.etcd_work import EtcdWork
from quoracy.effects.gather import gather_etcd
from quoracy.effects.operation import Operation
from quoracy.effects.site import EtcdSite
from quoracy.facts.etcd_cluster import EtcdFacts
from quoracy.operate.run import Leased
from quoracy.plan.plan import Plan, Step
from quoracy.remote.pool import HostPool
from quoracy.spec.etcd import EtcdCluster

ApplyStep = Callable[[Step, EtcdSite], str]
AskHosts = Callable[[EtcdCluster, HostPool], EtcdFacts]


@dataclass(slots=True, kw_only=True)
class EtcdOperation(Operation[EtcdFacts]):
    """One operation on a cluster.

    Attributes:
        ask_hosts: Gathers the facts; the flow puts a task here.
        ask_within_step: Gathers the facts in the middle of a step, which is a task already.
        apply_step: Carries out a step; the flow puts a task here.
    """

    cluster: EtcdCluster
    allow_downtime: bool = False
    ask_hosts: AskHosts = gather_etcd
    ask_within_step: AskHosts = gather_etcd
    apply_step: ApplyStep = apply_etcd_step

    def ask(self) -> EtcdFacts:
        """Ask all hosts."""
        return self.ask_hosts(self.cluster, self.pool)

    def look(self) -> EtcdFacts:
        """Ask all hosts in the middle of a step."""
        return self.remember(lambda: self.ask_within_step(self.cluster, self.pool))

    def recent(self) -> EtcdFacts:
        """What was seen within the last second, or a new look in the middle of a step."""
        return self.seen_lately() or self.look()

    def fences(self, facts: EtcdFacts) -> dict[str, int]:
        """The fencing number that each host has seen."""
        heard = facts.heard.items()
        return {name: one.host.guard.fence for name, one in heard if one.host.guard}

    def work(self, lease: Leased, guard: Guard, shown: Plan) -> EtcdWork:
        """What the loop asks of the operation."""
        site = EtcdSite(
            subject=self.subject,
            settle_s=self.settle_s,
            cluster=self.cluster,
            pool=self.pool,
            home=self.home,
            db=self.db,
            guard=guard,
            stamp=lease.operation_id,
            resolvers=self.resolvers,
            look=self.look,
            recent=self.recent,
        )
        return EtcdWork(self, site, shown)


def settle_seconds(cluster: EtcdCluster) -> int:
    """Seconds after which not even a start of a member goes on any more."""
    return max(cluster.systemd.start_timeout_s, cluster.systemd.stop_timeout_s) + 30
