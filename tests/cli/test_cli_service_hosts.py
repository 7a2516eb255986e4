"""`quoracy service` and `pxdcli` on real hosts, as a user at a terminal meets them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.lab import Lab
from tests.services.shop import Shop

pytestmark = pytest.mark.lab

QUICK = {"health_check_stable": 0, "stop_timeout": 2, "health_check_timeout": 6, "batch": 1}
REDEPLOY = ("quoracy", "service", "redeploy", "web", "--without-prefect")
SITES = "/etc/nginx/sites-enabled"
LISTED = ["api", "prices", "site", "store", "web"]


@dataclass(frozen=True, slots=True)
class Said:
    """What a call of the command left behind."""

    exit_code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which is one JSON document and nothing else."""
        return json.loads(self.out)


class Terminal:
    """Calls the commands in processes of their own, in a shop's project."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    def call(self, command: str, *words: str) -> Said:
        with self.begun(command, *words) as child:
            out, err = child.communicate(timeout=250)
        assert "Traceback" not in out + err, out + err
        return Said(child.returncode, out, err)

    @contextmanager
    def begun(self, command: str, *words: str, **how: Any) -> Iterator[subprocess.Popen[str]]:
        """The command under way; what it says comes line by line."""
        child = subprocess.Popen(
            (str(Path(sys.executable).with_name(command)), *words),
            cwd=self.shop.project,
            env={
                **os.environ,  # uv is told there where packages come from
                "QUORACY_HOME": str(self.shop.home.path),
                "COLUMNS": "100",
                "PYTHONFAULTHANDLER": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=how.get("stderr", subprocess.PIPE),
            text=True,
        )
        try:
            yield child
        finally:
            # One that hangs says where; pytest shows it when the test has failed.
            if child.poll() is None:
                child.send_signal(signal.SIGABRT)
            sys.stdout.writelines(said for said in child.communicate() if said)

    def redeploy(self, *words: str) -> Said:
        return self.call(*REDEPLOY, *words)


@pytest.fixture(scope="module")
def shop(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Three services of their own hosts, and infrastructure."""
    made = Shop(lab, tmp_path_factory.mktemp("shop"))
    made.raze()
    made.set("web", hosts=(1, 2), activation=None, **QUICK)
    made.set("prices", hosts=(2,), **QUICK)
    made.set("site", hosts=(3,), **QUICK)
    made.set("api", hosts=(3,), **QUICK)
    # nginx is told once of a site, as its README says.
    block = (made.project / "deployments/site/nginx.conf").read_text()
    made.shell(f"mkdir -p /root/sites; mv {SITES}/* /root/sites/ 2>/dev/null || :", 3)
    made.shell(f"cat > {SITES}/shop <<'END'\n{block}END\nnginx -t", 3)
    yield made
    made.raze()
    made.shell(f"mv /root/sites/* {SITES}/ 2>/dev/null || :", 3)


@pytest.fixture
def terminal(shop: Shop) -> Terminal:
    return Terminal(shop)


class TestOneService:
    """The tests go on from one another."""

    def test_before_the_first_time_status_says_so(self, terminal: Terminal) -> None:
        told = terminal.call("quoracy", "service", "status", "web")
        assert told.exit_code == 1
        assert told.out.count("not there yet") == 2
        none = terminal.call("quoracy", "service", "releases", "web")
        assert (none.exit_code, none.out) == (0, "web has no releases yet.\n")

    def test_a_dry_run_says_what_would_be_done_and_is_exit_code_4(self, terminal: Terminal) -> None:
        told = terminal.redeploy("--dry-run")
        assert told.exit_code == 4, told.out + told.err
        assert "Changes pending: redeploy web on 2 of 2 hosts" in told.out
        assert terminal.shop.shell("ls /opt/web 2>/dev/null || echo none") == "none\n"

    def test_done_is_exit_code_0(self, terminal: Terminal) -> None:
        project = str(terminal.shop.project)
        told = terminal.redeploy("--project", project)
        assert told.exit_code == 0, told.out + told.err
        assert "Done: redeploy web on 2 of 2 hosts" in told.out
        for host in terminal.shop.lab.hosts[:2]:
            assert f"✓ {host.name}: switch to release" in told.out
        again = terminal.redeploy()
        assert again.exit_code == 0
        assert "Nothing to do" in again.out

    def test_json_is_one_document(self, terminal: Terminal) -> None:
        told = terminal.redeploy("--json")
        assert told.json["exit_code"] == told.exit_code == 0
        assert told.json["state"] == "Nothing to do"
        terminal.shop.version("web", "two")
        assert terminal.redeploy("--json", "--dry-run").json["exit_code"] == 4
        assert terminal.redeploy("--json").json["state"] == "Done"

    def test_status_releases_and_logs(self, terminal: Terminal) -> None:
        status = terminal.call("quoracy", "service", "status", "web")
        assert status.exit_code == 0
        assert status.out.count("serving") == 2
        rows = terminal.call("quoracy", "service", "releases", "web", "--json").json["releases"]
        assert [row["is"] for row in rows] == ["current", "previous"] * 2
        assert all(row["healthy"] for row in rows)
        host = terminal.shop.lab.hosts[1].name
        logs = terminal.call("quoracy", "service", "logs", "web", "--host", host, "--lines", "5")
        assert logs.exit_code == 0
        assert "web" in logs.out
        both = terminal.call("quoracy", "service", "logs", "web", "--lines", "2")
        assert {line.split(":")[0] for line in both.out.splitlines()} == {
            one.name for one in terminal.shop.lab.hosts[:2]
        }
        wrong = terminal.call("quoracy", "service", "logs", "web", "--host", "nobody")
        assert wrong.exit_code == 2

    def test_rolled_back_by_hand(self, terminal: Terminal) -> None:
        told = terminal.call("pxdcli", "rollback", "web", "--without-prefect")
        assert told.exit_code == 0, told.out + told.err
        assert "version=two" not in terminal.shop.ask("web")

    def test_a_broken_release_is_exit_code_1_and_shows_its_last_words(
        self, terminal: Terminal
    ) -> None:
        path = terminal.shop.file("web", "index.js")
        code = path.read_text()
        path.write_text("console.error('the cupboard is bare'); process.exit(1);\n")
        told = terminal.redeploy()
        path.write_text(code)
        assert told.exit_code == 1
        assert "RolledBack: " in told.out
        assert "the cupboard is bare" in told.out
        assert terminal.redeploy().exit_code == 0

    def test_refused_is_exit_code_3(self, terminal: Terminal) -> None:
        host = terminal.shop.lab.hosts[1]
        terminal.shop.version("web", "three")
        terminal.shop.lab.fill_disk(host.name, 1_000_000)
        try:
            told = terminal.redeploy()
        finally:
            terminal.shop.lab.free_disk(host.name)
        assert told.exit_code == 3
        assert host.name in told.out
        assert "MiB free" in told.out


class TestCtrlC:
    """Once: the host under way is finished. Twice: it is put back."""

    def read_until(self, child: subprocess.Popen[str], words: str) -> str:
        assert child.stdout is not None
        said = ""
        for line in child.stdout:
            said += line
            if words in line:
                return said
        raise AssertionError(f"{words!r} was never said:\n{said}")

    def test_once_finishes_the_host_and_stops(self, terminal: Terminal) -> None:
        shop = terminal.shop
        first, second = (host.name for host in shop.lab.hosts[:2])
        shop.version("web", "once")
        with terminal.begun(*REDEPLOY, stderr=subprocess.STDOUT) as child:
            self.read_until(child, f"{first}: run the hook before the switch")
            os.kill(child.pid, signal.SIGINT)
            said = self.read_until(child, "Stopped: ")
            assert child.wait(timeout=60) == 1
        assert "Ctrl-C again" in said
        assert f"left as they were: {second}" in said
        assert "version=once" in shop.ask("web")
        assert "version=once" not in shop.ask("web", host=2)
        assert terminal.redeploy().exit_code == 0
        assert "version=once" in shop.ask("web", host=2)

    def test_twice_puts_the_host_back(self, terminal: Terminal) -> None:
        shop = terminal.shop
        first = shop.lab.hosts[0].name
        shop.set("web", hosts=(1, 2), health_check_stable=8)
        shop.version("web", "twice")
        with terminal.begun(*REDEPLOY, stderr=subprocess.STDOUT) as child:
            self.read_until(child, f"{first}: switch to release")
            os.kill(child.pid, signal.SIGINT)
            self.read_until(child, "stopping once")
            os.kill(child.pid, signal.SIGINT)
            said = self.read_until(child, "RolledBack: ")
            assert child.wait(timeout=60) == 1
        assert "interrupted" in said
        assert "version=once" in shop.ask("web")
        shop.set("web", hosts=(1, 2), health_check_stable=0)
        assert terminal.redeploy().exit_code == 0
        assert "version=twice" in shop.ask("web")


def test_all_goes_on_past_a_broken_one_and_ends_with_a_table(terminal: Terminal) -> None:
    shop = terminal.shop
    path = shop.file("prices", "main.go")
    code = path.read_text()
    path.write_text("package main\n\nthis does not compile\n")
    told = terminal.call("pxdcli", "redeploy", "--all", "--without-prefect")
    path.write_text(code)
    assert told.exit_code == 1, told.out + told.err
    lines = told.out.splitlines()
    (head,) = (n for n, line in enumerate(lines) if line.split()[:2] == ["service", "outcome"])
    end = lines.index("", head)
    rows = {line.split()[0]: line for line in lines[head + 1 : end] if line[:1].strip()}
    assert sorted(rows) == LISTED
    assert lines[end + 1].startswith("prices: "), "what failed is told whole behind the table"
    assert "Skipped" in rows["store"]
    assert not {"Done", "Nothing"} & set(rows["prices"].split())
    for name in ("api", "site", "web"):
        assert {"Done", "Nothing"} & set(rows[name].split()), rows[name]
    assert "release=" in shop.ask("api", host=3)
    after = terminal.call("pxdcli", "redeploy-all", "--without-prefect", "--json")
    assert after.exit_code == 0, after.out + after.err
    assert {row["service"]: row["outcome"] for row in after.json}["prices"] == "done"
