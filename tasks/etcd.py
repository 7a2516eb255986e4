"""An operation on an etcd cluster as a run shows it: looks and steps are tasks, members are subflows."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from quoracy.effects.etcd_operation import EtcdOperation
from quoracy.effects.etcd_steps import apply_etcd_step
from quoracy.effects.gather import gather_etcd
from quoracy.effects.site import EtcdSite
from quoracy.facts.etcd_cluster import EtcdFacts
from quoracy.operate.run import Report
from quoracy.plan.plan import Step
from quoracy.remote.pool import HostPool
from quoracy.spec.etcd import EtcdCluster
from tasks.run import (
    asked_by_prefect,
    enter_group,
    in_run,
    publish_plan,
    secret_resolvers,
    untagged,
)


def run_visibly(operation: EtcdOperation) -> Report:
    """Look, plan, show the plan, and apply it, each part with its place in the run."""
    operation.ask_hosts = gather_facts
    operation.apply_step = apply_step
    operation.enter_group = enter_group
    operation.resolvers = secret_resolvers()
    plan = operation.plan()
    publish_plan(plan)
    return operation.run(plan, asked_by_prefect())


def gather_facts(cluster: EtcdCluster, pool: HostPool) -> EtcdFacts:
    """Ask all hosts, as one task; a host that does not answer is a fact, not a failure."""
    look = task(
        name="gather-facts",
        task_run_name=f"look at {cluster.name}",
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=0,  # not PREFECT_TASK_DEFAULT_RETRIES
    )
    with untagged():
        return in_run(
            look,
            lambda: gather_etcd(cluster, pool),
            lambda facts: f"{len(facts.heard)} of {len(facts.hosts)} hosts have answered",
        )


def apply_step(step: Step, site: EtcdSite) -> str:
    """Carry out one step on one host, as one task that is never retried."""
    title = f"{step.host or 'controller'}: {step.title}"
    take = task(
        name=step.name,
        task_run_name=title,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=0,
    )
    with untagged():
        return in_run(
            take,
            lambda: apply_etcd_step(step, site),
            lambda detail: f"{title}: {detail}" if detail else title,
        )
