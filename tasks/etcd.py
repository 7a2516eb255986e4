"""An operation on an etcd cluster as a run shows it."""

from __future__ import annotations

from quoracy.etcd.apply import apply_etcd_step
from quoracy.etcd.facts_cluster import EtcdFacts
from quoracy.etcd.gather import gather_etcd
from quoracy.etcd.operation import EtcdOperation
from quoracy.etcd.site import EtcdSite
from quoracy.etcd.spec import EtcdCluster
from quoracy.hosts.pool import HostPool
from quoracy.operation.lease import Report
from quoracy.operation.step import Step
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
