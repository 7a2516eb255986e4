"""An operation on an etcd cluster as a run shows it."""

from __future__ import annotations

from quoracy.effects.etcd_operation import EtcdOperation
from quoracy.effects.etcd_steps import apply_etcd_step
from quoracy.effects.gather import gather_etcd
from quoracy.effects.site import EtcdSite
from quoracy.facts.etcd_cluster import EtcdFacts
from quoracy.operate.run import Report
from quoracy.plan.plan import Step
from quoracy.remote.pool import HostPool
from quoracy.spec.etcd import EtcdCluster
from tasks.operation import look_visibly, run_visibly, take_visibly


def run_etcd(operation: EtcdOperation) -> Report:
    """Run the operation, its looks and steps as tasks."""
    operation.ask_hosts = gather_facts
    operation.apply_step = apply_step
    return run_visibly(operation)


def gather_facts(cluster: EtcdCluster, pool: HostPool) -> EtcdFacts:
    """Ask all hosts of the cluster."""
    return look_visibly(
        cluster.name,
        lambda: gather_etcd(cluster, pool),
        lambda facts: f"{len(facts.heard)} of {len(facts.hosts)} hosts have answered",
    )


def apply_step(step: Step, site: EtcdSite) -> str:
    """Carry out one step."""
    return take_visibly(step, lambda: apply_etcd_step(step, site))
