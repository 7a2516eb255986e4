"""operation-rollback and reconcile as flows: their forms, and runs where no host answers."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prefect import Flow

from flows.operation_rollback import operation_rollback
from flows.reconcile import reconcile
from quoracy.db.holder import this_process
from quoracy.db.lease import get_lease, take_lease
from quoracy.db.session import open_database
from quoracy.home import Home
from tests.controller import home_in, port_nobody_listens_on, record, spec_text
from tests.prefect_harness import id_of, logs_of, run_of


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A controller that knows the cluster demo, whose hosts do not answer."""
    home = home_in(tmp_path)
    monkeypatch.setenv("QUORACY_HOME", str(home.path))
    with port_nobody_listens_on() as port:
        record(home, spec_text(tmp_path, port))
        yield home


@pytest.mark.parametrize(
    ("flow", "fields"),
    [(operation_rollback, {"cluster", "dry_run", "allow_downtime"}), (reconcile, set())],
    ids=["operation-rollback", "reconcile"],
)
def test_every_field_of_the_form_is_described_and_nothing_is_kept_or_retried(
    flow: Flow[..., Any], fields: set[str]
) -> None:
    properties = flow.parameters.properties
    assert set(properties) == fields
    assert all(field.get("description") for field in properties.values())
    assert (flow.persist_result, flow.retries) == (False, 0)


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server", "home")
def test_nothing_is_put_back_where_nothing_is_half_done() -> None:
    state = operation_rollback("demo", dry_run=True, return_state=True)
    assert (state.name, state.message) == ("Nothing to do", "nothing of demo is half done")
    run = run_of(state)
    assert (run.name, run.tags) == ("roll back demo (dry run)", ["cluster:demo", "quoracy"])


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server")
def test_a_lease_of_a_dead_process_is_freed_and_told(home: Home) -> None:
    reconcile()  # other tests have left something at the server
    assert reconcile(return_state=True).name == "Nothing to do"
    with subprocess.Popen(["true"]) as process:
        pass
    dead = replace(this_process(), id=f"dead:{process.pid}", pid=process.pid)
    db = open_database(home.database_url)
    try:
        take_lease(
            db, cluster="demo", operation_id="0", holder=dead, reason="change demo", now=db.now()
        )
        state = reconcile(return_state=True)
        assert get_lease(db, "demo") is None
    finally:
        db.close()
    assert (state.name, state.message) == ("Done", "settled: 1 in the journal, 0 at the server")
    lines = logs_of(id_of(state), until="Finished in state")
    assert "demo: change demo: no operation was under way any more" in lines
