from __future__ import annotations

import importlib
from datetime import timedelta
from typing import Any

import pytest
import yaml
from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.events import EventTrigger, ResourceSpecification

from deployments.automations import NAME
from deployments.bootstrap import bootstrap
from deployments.project import PREFECT_YAML, flow_names
from deployments.serve import served_deployments

PROJECT: dict[str, Any] = yaml.safe_load(PREFECT_YAML.read_text())
WANTED: list[dict[str, Any]] = PROJECT["deployments"]


def flow_of(entrypoint: str) -> Flow[..., Any]:
    module, _, name = entrypoint.rpartition(".")
    found = getattr(importlib.import_module(module), name)
    assert isinstance(found, Flow)
    return found


def test_no_pull_step() -> None:
    assert PROJECT["pull"] == []


@pytest.mark.parametrize("wanted", WANTED, ids=lambda wanted: wanted["name"])
def test_a_deployment_names_a_flow_by_module_path_and_gives_parameters_that_it_takes(
    wanted: dict[str, Any],
) -> None:
    assert ":" not in wanted["entrypoint"]
    assert not wanted["entrypoint"].endswith(".py")
    assert wanted["description"].endswith(".")
    flow = flow_of(wanted["entrypoint"])
    preset = wanted.get("parameters", {})
    asked = dict.fromkeys(flow.parameters.required, "demo")
    assert set(asked) in (set(), {"cluster"}, {"service", "project"})
    assert flow.validate_parameters({**asked, **preset}).keys() >= preset.keys()


def test_the_runner_serves_what_prefect_yaml_deploys() -> None:
    served = {
        one.name: (one.entrypoint, one.parameters, one.description) for one in served_deployments()
    }
    assert served == {
        wanted["name"]: (
            wanted["entrypoint"],
            wanted.get("parameters", {}),
            wanted["description"],
        )
        for wanted in WANTED
    }


def test_only_housekeeping_is_scheduled_and_never_twice_at_once() -> None:
    scheduled = [one for one in served_deployments() if one.schedules]
    (reconcile,) = scheduled
    assert reconcile.name == "reconcile"
    assert reconcile.schedules is not None
    (schedule,) = reconcile.schedules
    assert isinstance(schedule.schedule, IntervalSchedule)
    assert schedule.schedule.interval == timedelta(minutes=5)
    assert reconcile.concurrency_limit == 1
    assert reconcile.concurrency_options is not None
    assert reconcile.concurrency_options.collision_strategy == "CANCEL_NEW"


def test_a_flow_has_the_name_of_its_function() -> None:
    flows = {flow_of(wanted["entrypoint"]).name for wanted in WANTED}
    assert (
        flows
        == set(flow_names())
        == {
            "etcd-deploy",
            "operation-rollback",
            "reconcile",
            "service-redeploy",
            "service-rollback",
        }
    )


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server")
def test_bootstrap_registers_blocks_and_automation_any_number_of_times() -> None:
    bootstrap()
    bootstrap()
    with get_client(sync_client=True) as client:
        assert client.read_block_type_by_slug("quoracy-secret").name == "Quoracy secret"
        (automation,) = client.read_automations_by_name(NAME)
    trigger = automation.trigger
    assert isinstance(trigger, EventTrigger)
    assert (automation.enabled, trigger.within.total_seconds()) == (True, 90)
    assert isinstance(trigger.match_related, ResourceSpecification)
    related = trigger.match_related.model_dump()
    assert related["prefect.resource.name"] == flow_names()
