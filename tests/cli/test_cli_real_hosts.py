"""The verbs that need no server, on hosts that answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.lab import Lab
from quoracy.home import Home
from tests.controller import record, spec_text

Call = Callable[..., Any]


@pytest.fixture
def fresh(lab: Lab, home: Home, tmp_path: Path) -> str:
    """A cluster that does not exist yet, on three hosts of the lab."""
    settings: dict[str, Any] = {
        "version": "3.4.23",
        "ssh": {"key_file": str(lab.key_file), "known_hosts": str(lab.known_hosts)},
        "hosts": [{"name": host.name, "address": host.address} for host in lab.hosts[:3]],
        "release": {"directory": str(lab.archives)},
        "ports": {"client": 22379, "peer": 22380},
    }
    return record(home, spec_text(tmp_path, 22, "fresh", **settings)).name


@pytest.mark.lab
def test_plan_shows_what_where_why_and_changes_nothing(call: Call, lab: Lab, fresh: str) -> None:
    shown = call("plan", "etcd-deploy", fresh)
    assert shown.exit_code == 4, shown.err
    assert shown.out.startswith("create fresh: 3 members of etcd 3.4.23")
    assert shown.widest <= 80
    told = call("plan", "etcd-deploy", fresh, "--json").json
    assert (told["kind"], told["refused"]) == ("create", False)
    assert {step["host"] for step in told["steps"]} == {"", *(h.name for h in lab.hosts[:3])}
    assert call("plan", "etcd-deploy", fresh).out == shown.out
    for host in lab.hosts[:3]:
        found = lab.shell(host.name, "ls -d /etc/systemd/system/etcd-fresh* 2>/dev/null || :")
        assert found == b""


@pytest.mark.lab
def test_an_upgrade_of_what_is_not_there_is_refused(call: Call, fresh: str) -> None:
    refused = call("plan", "etcd-deploy", fresh, "--action", "upgrade")
    assert refused.exit_code == 3
    assert "FAIL" in refused.out


@pytest.mark.lab
def test_status_of_what_is_not_there_is_exit_code_1(call: Call, fresh: str) -> None:
    told = call("status", fresh, "--json")
    assert told.exit_code == 1
    assert [member["healthy"] for member in told.json["members"]] == [False] * 3
