"""A cluster whose quota is used up, on real hosts: what is allowed is done, the rest is refused and untouched."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quoracy.errors import Refused
from tests.judges.gateway import Gateway
from tests.scenarios.plan_reading import advice, members, reasons, warnings
from tests.scenarios.scenario_site import NEW, OLD, Site

pytestmark = pytest.mark.lab

MIB = 1024**2
QUICK = {"heartbeat_interval_ms": 50, "election_timeout_ms": 500}
SMALL = {**QUICK, "quota_backend_bytes": 4 * MIB}
LARGER = {**QUICK, "quota_backend_bytes": 64 * MIB}


@pytest.fixture(scope="module", params=[OLD, NEW])
def full(request: pytest.FixtureRequest, make_site) -> Iterator[Site]:
    """A cluster that has raised NOSPACE."""
    site = make_site("full", ports={"client": 11379, "peer": 11380}, etcd=SMALL)
    site.version = request.param
    site.apply()
    assert site.deploy().outcome == "done"
    for number in range(12):
        if not put(site, f"filling-{number}", 500_000):
            break
    assert alarms(site) == {"NOSPACE"}
    yield site
    site.raze()  # for the next version


def etcdctl(site: Site, *words: str) -> str:
    """A call of etcdctl on the first host, to its own member."""
    config = site.cluster.config_dir
    return shlex.join(
        (
            f"{config}/current/release/etcdctl",
            f"--endpoints=https://127.0.0.1:{site.cluster.ports.client}",
            f"--cacert={config}/tls/ca.pem",
            f"--cert={config}/tls/client.pem",
            f"--key={config}/tls/client.key",
            *words,
        )
    )


def put(site: Site, key: str, size: int = 3) -> bool:
    """Whether a write goes through."""
    value = f"head -c {size} /dev/zero | tr '\\0' x"
    told = site.shell(
        site.hosts[0], f"{value} | {etcdctl(site, 'put', key)} 2>/dev/null || echo no"
    )
    return told.strip() == "OK"


def alarms(site: Site) -> set[str]:
    found = json.loads(site.shell(site.hosts[0], etcdctl(site, "alarm", "list", "-w", "json")))
    return {{1: "NOSPACE", 2: "CORRUPT"}[one["alarm"]] for one in found.get("alarms", ())}


def status(site: Site, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (str(Path(sys.executable).with_name("quoracy")), "status", site.name, *words),
        env={
            "QUORACY_HOME": str(site.home.path),
            "HOME": str(site.place),
            "PATH": "/usr/bin:/bin",
            "COLUMNS": "200",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_status_says_so_and_that_all_members_serve(full: Site) -> None:
    shown = status(full)
    assert shown.returncode == 1, shown.stderr
    assert shown.stdout.count("healthy") == 3
    assert "unhealthy" not in shown.stdout
    assert "etcd has raised NOSPACE for " in shown.stdout
    assert "etcd.quota_backend_bytes" in shown.stdout
    told: dict[str, Any] = json.loads(status(full, "--json").stdout)
    assert [row["healthy"] for row in told["members"]] == [True] * 3
    assert {alarm["kind"] for alarm in told["alarms"]} == {"NOSPACE"}
    assert {alarm["host"] for alarm in told["alarms"]} <= set(full.hosts)


def test_nothing_to_do_says_that_writes_are_refused(full: Site) -> None:
    report = full.deploy()
    assert report.outcome == "nothing_to_do"
    assert "AlarmActive" in warnings(report.plan)


def test_another_change_is_refused_and_touches_nothing(full: Site) -> None:
    full.apply(etcd={**SMALL, "snapshot_count": 5000})
    before = full.traces()
    with pytest.raises(Refused, match="NOSPACE"):
        full.deploy()
    assert full.traces() == before
    assert reasons(full.plan()) == {"AlarmActive"}
    assert "etcd.quota_backend_bytes" in advice(full.plan())
    full.back()


def test_a_stopped_member_is_started(full: Site) -> None:
    host = full.hosts[1]
    full.stop(host)
    before = full.starts()
    report = full.deploy()
    assert report.outcome == "done"
    assert "AlarmActive" in warnings(report.plan)
    after = full.starts()
    assert {name for name in full.hosts if after[name] != before[name]} == {host}


def test_a_larger_quota_is_rolled_out_and_nobody_is_put_back(full: Site) -> None:
    full.apply(etcd=LARGER)
    plan = full.plan()
    assert not plan.refused, reasons(plan)
    assert members(plan)[-1] == full.leader()
    before = full.starts()
    with full.watched() as watch:
        report = full.deploy()
    assert report.outcome == "done"
    watch.require_one_at_a_time()
    after = full.starts()
    assert all(after[name] != before[name] for name in full.hosts)
    # The alarm outlives the restarts, as the plan has said.
    assert alarms(full) == {"NOSPACE"}
    assert not put(full, "too-early")
    assert status(full).returncode == 1


def test_disarmed_it_takes_writes_again(full: Site) -> None:
    full.shell(full.hosts[0], etcdctl(full, "alarm", "disarm"))
    assert put(full, "room", 500_000)
    full.require_healthy()
    shown = status(full)
    assert (shown.returncode, "NOSPACE" in shown.stdout) == (0, False)
    plan = full.plan()
    assert (plan.kind, "AlarmActive" in warnings(plan)) == ("nothing", False)


def test_corrupt_data_stop_everything_a_start_as_well(full: Site) -> None:
    gateway = Gateway(full.endpoints[0], full.client().context(), 10.0)
    # As etcd raises it from 3.5.7 on: without saying which member's data differ.
    asked = {"action": "ACTIVATE", "memberID": "0", "alarm": "CORRUPT"}
    gateway.post("/v3/maintenance/alarm", asked)
    gateway.close()
    shown = status(full)
    assert shown.returncode == 1
    assert "etcd has raised CORRUPT: the members' data differ" in shown.stdout
    full.stop(full.hosts[2])
    before = full.traces()
    with pytest.raises(Refused, match="CORRUPT"):
        full.deploy()
    assert full.traces() == before
    assert (full.plan().kind, reasons(full.plan())) == ("nothing", {"AlarmActive"})
    full.shell(full.hosts[0], etcdctl(full, "alarm", "disarm"))
    assert full.deploy().outcome == "done"
    full.require_healthy()
