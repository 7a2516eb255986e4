from __future__ import annotations

import importlib
import threading
from datetime import timedelta
from typing import Any

import pytest
import yaml
from prefect import Flow
from prefect.client.orchestration import get_client
from prefect_harness import ask

from deployments.automations import NAME
from deployments.bootstrap import bootstrap
from deployments.clock import start_clock
from deployments.project import PREFECT_YAML, flow_names
from deployments.serve import scheduled, served_deployments

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
    assert scheduled() == [("reconcile/reconcile", timedelta(minutes=5))]


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
def test_the_clock_starts_runs_until_it_is_stopped() -> None:
    with get_client(sync_client=True) as client:
        flow_id = client.create_flow(flow_of("flows.reconcile.reconcile"))
        deployment = client.create_deployment(flow_id, "clockwork")
    stop = threading.Event()
    clock = start_clock("reconcile/clockwork", timedelta(milliseconds=10), stop)
    wanted = {"id": {"any_": [str(deployment)]}}
    try:
        while len(ask("/flow_runs/filter", deployments=wanted)) < 2:
            assert clock.is_alive()
    finally:
        stop.set()
        clock.join()
    runs = ask("/flow_runs/filter", deployments=wanted)
    assert {run["state_type"] for run in runs} == {"SCHEDULED"}
    with get_client(sync_client=True) as client:
        client.delete_deployment(deployment)
