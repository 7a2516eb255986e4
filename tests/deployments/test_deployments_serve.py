from __future__ import annotations

import importlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule

from deployments.automations import NAME
from deployments.bootstrap import bootstrap, drop_missed_runs
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
    assert asked.keys() <= {"cluster"}
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


def test_only_housekeeping_runs_by_a_clock() -> None:
    scheduled = {one.name: one.schedules for one in served_deployments() if one.schedules}
    assert scheduled.keys() == {"reconcile"}
    (every,) = scheduled["reconcile"]
    assert (every.schedule.cron, every.schedule.timezone) == ("*/5 * * * *", "UTC")


def test_a_flow_has_the_name_of_its_function() -> None:
    flows = {flow_of(wanted["entrypoint"]).name for wanted in WANTED}
    assert flows == set(flow_names()) == {"etcd-deploy", "operation-rollback", "reconcile"}


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server")
def test_bootstrap_registers_blocks_and_automation_any_number_of_times() -> None:
    bootstrap()
    bootstrap()
    with get_client(sync_client=True) as client:
        assert client.read_block_type_by_slug("quoracy-secret").name == "Quoracy secret"
        (automation,) = client.read_automations_by_name(NAME)
    assert (automation.enabled, automation.trigger.within.total_seconds()) == (True, 90)
    related = automation.trigger.match_related.model_dump()
    assert related["prefect.resource.name"] == flow_names()


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server")
def test_missed_runs_of_a_schedule_are_dropped_and_what_was_asked_for_stays() -> None:
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    hourly = DeploymentScheduleCreate(schedule=CronSchedule(cron="0 * * * *"), active=True)
    with get_client(sync_client=True) as client:
        flow_id = client.create_flow(flow_of("flows.reconcile.reconcile"))
        deployment = client.create_deployment(flow_id, "reconcile", schedules=[hourly])
        asked: Any = f"/deployments/{deployment}/create_flow_run"
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": yesterday}}
        run = client.request("POST", asked, json={"state": state}).json()["id"]
        schedule: Any = f"/deployments/{deployment}/schedule"
        client.request("POST", schedule, json={"start_time": yesterday, "max_runs": 5})
        assert [drop_missed_runs(), drop_missed_runs()] == [5, 0]
        assert client.read_flow_run(run).state_name == "Scheduled"
        client.delete_deployment(deployment)
