"""Which rollback is finished by the next one: one that never ended, and that was about the same hosts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from quoracy.db.models import Outcome
from quoracy.db.operations import NewOperation, end_operation, start_operation
from quoracy.db.session import Database, open_database
from quoracy.redact import MASK, redact
from quoracy.services.rollback import (
    RollbackWanted,
    chosen_before,
    open_service_rollback,
)
from tests.controller import home_in

NOW = datetime(2026, 11, 21, tzinfo=UTC)
CHOSEN = {"h1": "abc", "h2": "abc"}


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path / 'journal.db'}")
    yield database
    database.close()


def begin(db: Database, kind: str = "service-rollback") -> str:
    steps = [
        {"host": host, "name": name, "title": "for people", "release": release}
        for host, release in CHOSEN.items()
        for name in ("switch-release", "await-service")
    ]
    operation = NewOperation(
        cluster="service:web",
        kind=kind,
        title="roll web back to abc",
        holder="me",
        requested_by="me",
        origin="terminal",
        plan=json.dumps({"steps": steps}),
        plan_digest="d",
        fence=1,
    )
    start_operation(db, operation, now=NOW)
    return operation.id


@pytest.mark.parametrize(
    ("outcome", "finished"),
    [
        (None, True),
        ("failed", True),
        ("stopped", True),
        ("done", False),
        ("rolled_back", False),
        ("rollback_failed", False),
    ],
)
def test_what_never_came_to_its_end_is_finished(
    db: Database, outcome: Outcome | None, finished: bool
) -> None:
    one = begin(db)
    if outcome is not None:
        end_operation(db, one, outcome, now=NOW)
    assert chosen_before(db, "service:web", ["h1", "h2"]) == (CHOSEN if finished else {})


@pytest.mark.parametrize("hosts", [["h1"], ["h1", "h2", "h3"], ["h1", "h3"]])
def test_one_about_other_hosts_says_nothing_about_these(db: Database, hosts: list[str]) -> None:
    begin(db)
    assert chosen_before(db, "service:web", hosts) == {}


def test_nor_does_another_operation_or_none(db: Database) -> None:
    assert chosen_before(db, "service:web", ["h1", "h2"]) == {}
    begin(db, "service-redeploy")
    assert chosen_before(db, "service:web", ["h1", "h2"]) == {}


def test_what_the_service_says_when_it_fails_does_not_show_its_environment(tmp_path: Path) -> None:
    config = tmp_path / "deployments/web/service-config.yml"
    config.parent.mkdir(parents=True)
    (config.parent / "index.js").write_text("")
    config.write_text(
        "service_name: web\nservice_type: nodejs\napp_port: 3000\nlocal_app_path: .\n"
        "container_env: {DB_PASSWORD: planted-in-web}\n"
        "hosts: [{name: h1, address: 198.51.100.9}]\n"
    )
    with open_service_rollback(RollbackWanted("web", str(tmp_path)), home_in(tmp_path / "home")):
        assert redact("DB_PASSWORD is planted-in-web") == f"DB_PASSWORD is {MASK}"
