"""An operation as a run shows it: looks and steps are tasks, hosts are subflows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE

from quoracy.operation.lease import Report
from quoracy.operation.operation import Operation
from quoracy.operation.step import Step
from tasks.run import (
    asked_by_prefect,
    enter_group,
    in_run,
    publish_plan,
    secret_resolvers,
    untagged,
)

T = TypeVar("T")


def run_visibly(operation: Operation[Any]) -> Report:
    """Look, plan, show the plan, and apply it, each part with its place in the run."""
    operation.enter_group = enter_group
    operation.resolvers = secret_resolvers()
    plan = operation.plan()
    publish_plan(plan)
    return operation.run(plan, asked_by_prefect())


def look_visibly(subject: str, ask: Callable[[], T], say: Callable[[T], str]) -> T:
    """Ask all hosts, as one task; a host that does not answer is a fact, not a failure."""
    look = task(
        name="gather-facts",
        task_run_name=f"look at {subject}",
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=0,  # not PREFECT_TASK_DEFAULT_RETRIES
    )
    with untagged():
        return in_run(look, ask, say)


def take_visibly(step: Step, act: Callable[[], str]) -> str:
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
        return in_run(take, act, lambda detail: f"{title}: {detail}" if detail else title)
