"""service-redeploy and service-rollback as flows: their forms, and runs of them on real hosts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.service_redeploy import service_redeploy
from flows.service_rollback import service_rollback
from lab.lab import Lab
from quoracy.operation.terminal import started_by
from tests.controller import home_in
from tests.prefect_harness import artifacts, run_of, task_runs_of
from tests.services.shop import Shop

FLOWS = {"redeploy": service_redeploy, "rollback": service_rollback}


@pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS)
def test_every_field_of_the_form_is_described(flow: Any) -> None:
    schema = flow.parameters
    assert schema.required == ["service", "project"]
    assert not [name for name, field in schema.properties.items() if not field.get("description")]
    assert (flow.persist_result, flow.retries) == (False, 0)


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server")
def test_a_service_nobody_knows_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = home_in(tmp_path)
    monkeypatch.setenv("QUORACY_HOME", str(home.path))
    home.config.write_text(f'projects = ["{tmp_path}"]\n')
    state = service_redeploy("web", str(tmp_path), return_state=True)
    assert state.name == "UsageError"
    assert "Next: " in str(state.message)


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS)
def test_a_project_that_the_controller_does_not_list_is_refused_unless_a_terminal_names_it(
    flow: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = home_in(tmp_path)
    monkeypatch.setenv("QUORACY_HOME", str(home.path))
    state = flow("web", str(tmp_path / "theirs"), return_state=True)
    assert state.name == "Refused"
    assert f"{home.config}: the project {tmp_path}/theirs is none" in str(state.message)
    assert f'add it there: projects = ["{tmp_path}/theirs"]' in str(state.message)
    with started_by("ada"):
        free = flow("web", str(tmp_path / "theirs"), return_state=True)
    assert free.name == "UsageError"


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("project", ["shop", "~/shop", ""])
@pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS)
def test_a_project_is_not_looked_for_where_the_runner_works(flow: Any, project: str) -> None:
    state = flow("web", project, return_state=True)
    assert state.name == "UsageError"
    assert f"{project!r} is not named by its whole path" in str(state.message)


@pytest.mark.lab
@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server")
def test_redeploy_and_rollback_on_a_real_host(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(lab, tmp_path)
    monkeypatch.setenv("QUORACY_HOME", str(shop.home.path))
    shop.raze()
    try:
        shop.set("web", health_check_stable=0)
        project = str(shop.project)
        shop.home.config.write_text(f'projects = ["{project}"]\n')
        pending = service_redeploy("web", project, dry_run=True, return_state=True)
        assert pending.name == "Changes pending"
        first = service_redeploy("web", project, return_state=True)
        assert first.name == "Done", first.message
        shop.version("web", "two")
        second = service_redeploy("web", project, return_state=True)
        assert second.name == "Done", second.message
        run = run_of(second)
        assert (run.name, set(run.tags)) == ("redeploy web", {"quoracy", "service:web"})
        names = [task["name"] for task in task_runs_of(run.id, 4)]
        assert "host-0" in names  # the subflow of the host
        shown = artifacts(flow_run_id=[str(run.id)])
        assert "1 new or changed, 0 deleted: version.txt" in shown["plan-service-web"]
        assert "**current**" in shown["releases-service-web"]
        back = service_rollback("web", project, return_state=True)
        assert back.name == "Done", back.message
        assert "version=two" not in shop.ask("web")
    finally:
        shop.raze()
