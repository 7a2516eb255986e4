"""`quoracy up` end to end: a real server and runner, runs here and through the runner, `down`."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from signal import SIGKILL

import pytest

from quoracy.db.holder import user_name
from quoracy.errors import QuoracyError, UsageError
from quoracy.home import Home
from quoracy.login import server_login
from quoracy.prefect.server import server_url, without_login
from quoracy.prefect.up import (
    RUNNER,
    SERVER,
    deployments_of,
    prefect_environment,
    read_service,
    start_runner,
    start_server,
    stop,
)
from tests.controller import home_in, port_nobody_listens_on
from tests.controller_up import Up, running_up
from tests.loopback import serving

CHECKOUT = Path(__file__).parents[1]
# Services outlive the process that starts them, which Python takes for forgetfulness.
STAYS = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")


def test_without_any_server_it_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no Prefect server runs here") as caught:
        server_url(home_in(tmp_path), {})
    assert "quoracy up" in caught.value.next_step


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://ann:s3cret@127.0.0.1:9/a@b", "http://127.0.0.1:9/a@b"),
        ("https://prefect.example/api", "https://prefect.example/api"),
        ("", ""),
    ],
)
def test_no_message_shows_the_login_of_a_server(tmp_path: Path, url: str, shown: str) -> None:
    assert without_login(url) == shown
    with pytest.raises(UsageError) as caught:
        server_url(home_in(tmp_path), {"PREFECT_API_URL": "http://ann:s3cret@127.0.0.1:9/api"})
    assert "http://127.0.0.1:9 does not answer" in caught.value.what
    assert "s3cret" not in str(caught.value)


def test_a_port_that_is_taken_is_a_usage_error_and_starts_nothing(tmp_path: Path) -> None:
    home = home_in(tmp_path)
    with port_nobody_listens_on() as port, pytest.raises(UsageError, match="is taken"):
        start_server(home, port, CHECKOUT)
    assert read_service(home, SERVER) is None


def test_a_record_of_another_process_with_the_same_id_is_no_service(tmp_path: Path) -> None:
    home = home_in(tmp_path)
    home.run.mkdir()
    content = {"name": SERVER, "pid": os.getpid(), "started": 1, "url": "http://127.0.0.1:1"}
    (home.run / "server.json").write_text(json.dumps(content))
    assert read_service(home, SERVER) is None
    assert stop(home, SERVER) is False


def test_a_record_of_a_process_that_was_gone_at_once_is_no_service(tmp_path: Path) -> None:
    home = home_in(tmp_path)
    with subprocess.Popen(["true"]) as ended:
        pass
    write_record(home, ended.pid, started=0)
    assert read_service(home, SERVER) is None


def write_record(home: Home, pid: int, started: int) -> None:
    home.run.mkdir()
    content = {"name": SERVER, "pid": pid, "started": started, "url": "http://127.0.0.1:1"}
    (home.run / "server.json").write_text(json.dumps(content))


def test_a_service_that_ends_by_itself_while_it_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, kill = home_in(tmp_path), os.kill
    with subprocess.Popen(["sleep", "600"]) as service:
        fields = Path(f"/proc/{service.pid}/stat").read_text().rpartition(")")[2].split()
        write_record(home, service.pid, int(fields[19]))

        def too_late(pid: int, number: int) -> None:
            kill(service.pid, SIGKILL)
            service.wait()
            kill(pid, number)

        monkeypatch.setattr(os, "kill", too_late)
        assert stop(home, SERVER) is True
    assert stop(home, SERVER) is False


class NoDeployments(BaseHTTPRequestHandler):
    """A healthy server that no runner has ever polled, and that lets everybody in."""

    def do_GET(self) -> None:
        # Prefect 3.8.8: no tokens against forged requests without PREFECT_SERVER_CSRF_PROTECTION_ENABLED.
        self.send_response(422 if "csrf" in self.path else 200)
        self.end_headers()
        self.wfile.write(b'"0.8.4"')

    def do_POST(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def healthy_server() -> Iterator[str]:
    with serving(NoDeployments) as url:
        yield url


def checkout_whose_runner(does: str, directory: Path) -> Path:
    package = directory / "checkout" / "deployments"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "serve.py").write_text(does)
    (package.parent / "prefect.yaml").write_text("deployments: [{name: etcd-deploy}]")
    return package.parent


@STAYS
def test_a_runner_that_ends_at_once_is_an_error_that_names_its_log(tmp_path: Path) -> None:
    home, checkout = home_in(tmp_path), checkout_whose_runner("raise SystemExit(1)", tmp_path)
    with healthy_server() as url, pytest.raises(QuoracyError) as caught:
        start_runner(home, url, checkout)
    assert caught.value.where == str(home.run / "runner.log")


@STAYS
def test_a_server_that_dies_while_the_runner_starts_is_an_error_that_names_its_log(
    tmp_path: Path,
) -> None:
    home = home_in(tmp_path)
    checkout = checkout_whose_runner("import time; time.sleep(600)", tmp_path)
    try:
        with (
            port_nobody_listens_on() as port,
            pytest.raises(QuoracyError, match="went away while the runner started") as caught,
        ):
            start_runner(home, f"http://127.0.0.1:{port}", checkout)
        assert caught.value.where == str(home.run / "server.log")
    finally:
        assert stop(home, RUNNER)


def test_the_environment_sends_nothing_away_and_keeps_the_audit_log(tmp_path: Path) -> None:
    environment = prefect_environment(home_in(tmp_path), "http://127.0.0.1:4200", "ann:secret")
    # The automation ends a run that has not been heard of for three of its beats.
    assert environment["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "30"
    assert environment["DO_NOT_TRACK"] == "1"
    assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert environment["PREFECT_SERVER_EVENTS_RETENTION_PERIOD"] == "P365D"


def test_the_deployments_are_those_of_prefect_yaml() -> None:
    assert {"etcd-deploy", "etcd-create", "etcd-upgrade", "reconcile"} <= deployments_of(CHECKOUT)


def runs(pid: int) -> bool:
    """Whether a process is there; one that has ended and waits for its parent is not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with running_up(tmp_path_factory.mktemp("up")) as controller:
        yield controller


@pytest.mark.prefect
def test_a_second_up_starts_nothing(up: Up) -> None:
    before = up.pids()
    again = up.call("up")
    assert again.returncode == 0
    assert "starting" not in again.stdout
    assert f"runner: serves {', '.join(sorted(deployments_of(CHECKOUT)))}" in again.stdout
    assert (len(before), up.pids()) == (2, before)
    assert "✓ Prefect server" in up.call("doctor").stdout


@pytest.mark.prefect
@pytest.mark.parametrize(
    ("how", "origin"),
    [((), "terminal, prefect on"), (("--submit",), "prefect on")],
    ids=["here", "through the runner"],
)
def test_a_run_ends_alike_here_and_through_the_runner(
    up: Up, how: tuple[str, ...], origin: str
) -> None:
    ended = up.call("etcd-deploy", "demo", "--json", *how)
    assert ended.returncode == 3, ended.stderr
    told = json.loads(ended.stdout)
    assert (told["state"], told["exit_code"]) == ("Refused", 3)
    assert told["flow_run"].startswith(f"http://127.0.0.1:{up.port}/runs/flow-run/")
    shown = up.call("etcd-deploy", "demo", *how)
    assert shown.returncode == 3
    assert "Refused: " in shown.stdout
    latest = json.loads(up.call("history", "--limit", "1", "--json").stdout)[0]
    assert latest["outcome"] == "refused"
    assert latest["origin"].rpartition(" ")[0] == origin
    # Through the runner it is the name in the login, which is its owner's.
    assert latest["requested_by"] == (
        server_login(up.home).partition(":")[0] if how else user_name()
    )


@pytest.mark.prefect
def test_the_key_of_the_servers_secrets_and_its_login_are_its_owners_alone(up: Up) -> None:
    for name in ("prefect-encryption-key", "prefect-login"):
        assert (up.home.path / name).stat().st_mode & 0o777 == 0o600


@pytest.mark.prefect
def test_without_its_runner_submit_says_so_and_down_stops_the_rest(up: Up) -> None:
    runner = read_service(up.home, RUNNER)
    assert runner is not None
    assert stop(up.home, RUNNER)
    refused = up.call("etcd-deploy", "demo", "--submit")
    assert refused.returncode == 2
    assert "no runner is there" in refused.stderr
    server = read_service(up.home, SERVER)
    assert server is not None
    assert up.call("down").stdout == "runner: was not running\nserver: stopped\n"
    assert not runs(runner.pid)
    assert not runs(server.pid)
    afterwards = up.call("etcd-deploy", "demo")
    assert afterwards.returncode == 2
    assert "run `quoracy up`" in afterwards.stderr
