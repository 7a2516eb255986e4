"""etcd-deploy as a flow: its form, and runs of it against hosts that do not answer and real ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas import State

from flows.etcd_deploy import etcd_deploy
from lab.lab import Lab
from quoracy.db.operations import history
from quoracy.db.session import open_database
from quoracy.home import Home
from tests.controller import home_in, port_nobody_listens_on, record, spec_text
from tests.prefect_harness import artifacts, id_of, logs_of, run_of, task_runs_of

SCHEMA = etcd_deploy.parameters


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A controller that knows the cluster demo, whose hosts do not answer."""
    home = home_in(tmp_path)
    monkeypatch.setenv("QUORACY_HOME", str(home.path))
    with port_nobody_listens_on() as port:
        record(home, spec_text(tmp_path, port))
        yield home


def test_every_field_of_the_form_is_described() -> None:
    fields = dict(SCHEMA.properties)
    fields |= {
        f"{model}.{name}": field
        for model, schema in SCHEMA.definitions.items()
        for name, field in schema.get("properties", {}).items()
    }
    assert set(fields) == {
        "cluster",
        "action",
        "version",
        "deploy_option",
        "dry_run",
        "plan_id",
        "options",
        "DeployOptions.allow_downtime",
        "DeployOptions.allow_bad_version",
        "DeployOptions.pause_after_first",
        "DeployOptions.approved",
    }
    lacking = {name: field for name, field in fields.items() if not field.get("description")}
    # The form shows a model's own description; Prefect drops the one of its parameter.
    assert lacking == {"options": fields["options"]}
    assert SCHEMA.definitions["DeployOptions"]["description"]
    assert SCHEMA.required == ["cluster"]


def test_nothing_of_the_flow_is_kept_or_retried() -> None:
    assert etcd_deploy.persist_result is False
    assert etcd_deploy.retries == 0


def artifacts_of(state: State[Any]) -> dict[str, str]:
    return artifacts(flow_run_id=[str(id_of(state))])


def task_names(state: State[Any], count: int = 1) -> list[str]:
    return [task["name"] for task in task_runs_of(run_of(state).id, count)]


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server")
def test_a_cluster_nobody_knows_is_a_usage_error_without_a_traceback(home: Home) -> None:
    state = etcd_deploy("nope", return_state=True)
    assert state.name == "UsageError"
    assert "there is no cluster 'nope'" in str(state.message)
    assert "Next: " in str(state.message)
    lines = logs_of(run_of(state).id, until="Finished in state")
    assert "Traceback" not in "".join(lines)


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server")
def test_hosts_that_do_not_answer_are_a_refusal_with_name_tags_and_artifacts(home: Home) -> None:
    state = etcd_deploy("demo", action="upgrade", version="3.5.30", dry_run=True, return_state=True)
    run = run_of(state)
    assert (state.name, run.name) == ("Refused", "upgrade demo to 3.5.30 (dry run)")
    assert run.tags == ["cluster:demo", "quoracy"]
    assert task_names(state) == ["look at demo"]
    artifacts = artifacts_of(state)
    assert sorted(artifacts) == ["plan-demo", "result-demo"]
    assert "demo-1" in artifacts["plan-demo"]
    assert artifacts["result-demo"].startswith("# Refused")
    assert "Traceback" not in "".join(logs_of(run.id, until="Finished in state"))
    db = open_database(home.database_url)
    try:
        (operation,) = history(db, "demo")
    finally:
        db.close()
    assert (operation.outcome, operation.flow_run_id) == ("refused", str(run.id))


@pytest.fixture
def clean_lab(lab: Lab) -> Iterator[Lab]:
    """The lab; what a cluster named flow has left on its hosts is taken off in the end."""
    yield lab
    for host in lab.hosts[:3]:
        lab.shell(
            host.name,
            "systemctl disable --now etcd-flow.service 2>/dev/null; rm -rf /etc/etcd/flow"
            " /etc/systemd/system/etcd-flow.service /var/lib/etcd/flow* /var/lib/quoracy/flow;"
            " systemctl daemon-reload",
        )


@pytest.mark.lab
@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server")
def test_create_again_and_change_on_real_hosts(
    clean_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, home = clean_lab, home_in(tmp_path)
    monkeypatch.setenv("QUORACY_HOME", str(home.path))
    hosts = [{"name": f"flow-{n}", "address": h.address} for n, h in enumerate(lab.hosts[:3], 1)]
    settings: dict[str, Any] = {
        "version": "3.4.23",
        "ssh": {"key_file": str(lab.key_file), "known_hosts": str(lab.known_hosts)},
        "hosts": hosts,
        "release": {"directory": str(lab.archives)},
        "ports": {"client": 12379, "peer": 12380},
    }
    record(home, spec_text(tmp_path, 22, "flow", **settings))

    pending = etcd_deploy("flow", dry_run=True, return_state=True)
    assert pending.name == "Changes pending"
    created = etcd_deploy("flow", action="create", return_state=True)
    assert created.name == "Done", created.message
    assert run_of(created).name == "create flow"
    assert task_names(created, 20).count("flow-2: start for the first time") == 1
    again = etcd_deploy("flow", return_state=True)
    assert (again.name, task_names(again)) == ("Nothing to do", ["look at flow"])

    record(home, spec_text(tmp_path, 22, "flow", **settings, etcd={"snapshot_count": 20000}))
    changed = etcd_deploy("flow", return_state=True)
    assert changed.name == "Done", changed.message
    assert {"plan-flow", "result-flow"} <= set(artifacts_of(changed))
