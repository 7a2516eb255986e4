"""Looking at an etcd cluster and carrying out its steps, as tasks."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from quoracy.effects.etcd_steps import apply_etcd_step
from quoracy.effects.gather import gather_etcd
from quoracy.effects.site import EtcdSite
from quoracy.facts.etcd_cluster import EtcdFacts
from quoracy.plan.plan import Step
from quoracy.remote.pool import HostPool
from quoracy.spec.etcd import EtcdCluster


def gather_facts(cluster: EtcdCluster, pool: HostPool) -> EtcdFacts:
    """Ask all hosts, as one task; a host that does not answer is a fact, not a failure."""

    # The objects are closed over, not passed: Prefect would walk through every parameter.
    @task(name="gather-facts", task_run_name=f"look at {cluster.name}", cache_policy=NO_CACHE)
    def gather() -> EtcdFacts:
        return gather_etcd(cluster, pool)

    return gather()


def apply_step(step: Step, site: EtcdSite) -> str:
    """Carry out one step on one host, as one task that is never retried."""
    where = step.host or "controller"

    @task(name=step.name, task_run_name=f"{where}: {step.title}", cache_policy=NO_CACHE, retries=0)
    def take() -> str:
        return apply_etcd_step(step, site)

    return take()
