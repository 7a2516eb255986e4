"""Who is not let in at a controller: another user of the machine, and pages of others in a real browser.

The UI works beside them, for whoever has the login.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from quoracy.login import server_login
from quoracy.prefect.api import ask
from tests.chromium import Page, browser
from tests.controller_up import Up, running_up
from tests.end_to_end.strangers import as_nobody, page_script, site_of_another_origin

LOGIN = "PREFECT_SERVER_API_AUTH_STRING"
pytestmark = pytest.mark.prefect
# No other address is asked for; the name stands for one that its owner points to this machine.
NAMES = "MAP evil.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    # A login that is set for another server is neither used nor in the way.
    with running_up(
        tmp_path_factory.mktemp("strangers"), **{LOGIN: "ann:of-another-server"}
    ) as controller:
        yield controller


@pytest.fixture(scope="module")
def deployment(up: Up) -> str:
    """ID of etcd-deploy, which a stranger may have seen somewhere."""
    found = ask(up.url, server_login(up.home), "/deployments/filter", {})
    return next(str(one["id"]) for one in found if one["name"] == "etcd-deploy")


@pytest.fixture(scope="module")
def page(up: Up, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The browser of an operator who has logged in."""
    profile = tmp_path_factory.mktemp("browser") / "profile"
    with browser(profile, f"--host-resolver-rules={NAMES}") as page:
        page.open(f"{up.url}/v2/deployments")
        page.write("input[type=password]", server_login(up.home))
        page.press("button[type=submit]")
        page.until("document.body.innerText.includes('7 Deployments')")
        yield page


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_another_user_of_the_machine_can_read_nothing_and_start_nothing(
    up: Up, deployment: str
) -> None:
    before = up.runs()
    told = as_nobody(up, deployment)
    files = {what: came for what, came in told.items() if what.startswith("file ")}
    assert len(files) == 4
    assert set(files.values()) == {"PermissionError"}
    assert told.pop("foreign name") == HTTPStatus.BAD_REQUEST
    calls = {what: came for what, came in told.items() if what.startswith("url ")}
    assert len(calls) == 7
    assert set(calls.values()) <= {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
    assert up.runs() == before


def test_a_page_of_another_origin_can_read_nothing_and_start_nothing(
    up: Up, deployment: str, page: Page
) -> None:
    before = up.runs()
    with site_of_another_origin() as site:
        page.open(site)
        told = page.run(page_script(f"{up.url}/api", deployment))
    assert told == {
        "read": "TypeError",  # fetch() says no more of what the browser has kept from the page
        "start": "TypeError",
        "start blindly": "opaque",
        "ask for a token": "TypeError",
        "events": "closed",
        "logs": "closed",
        "events without a word": "closed",
        "password": None,
    }
    assert up.runs() == before


def test_a_page_whose_name_points_to_this_machine_is_not_the_servers_own(
    up: Up, deployment: str, page: Page
) -> None:
    before = up.runs()
    page.open(f"http://evil.example:{up.port}/")
    assert page.run("location.origin") == f"http://evil.example:{up.port}"
    told = page.run(page_script(f"http://evil.example:{up.port}/api", deployment))
    refused = {"read", "start", "ask for a token"}
    assert {told.pop(what) for what in refused} == {HTTPStatus.BAD_REQUEST}
    assert told.pop("password") is None
    assert told.pop("start blindly") == "basic"  # of the same origin as the page, so it is told
    assert set(told.values()) == {"closed"}
    assert up.runs() == before


def test_whoever_has_the_login_starts_runs_from_the_form(
    up: Up, deployment: str, page: Page
) -> None:
    demo = "%7B%22cluster%22%3A%22demo%22%7D"
    page.open(f"http://localhost:{up.port}/v2/deployments/deployment/{deployment}/run")
    page.write("input[type=password]", server_login(up.home))  # of another origin to the browser
    page.press("button[type=submit]")
    page.until("document.body.innerText.includes('Dashboard')")
    before = len(up.runs())
    page.open(
        f"http://localhost:{up.port}/v2/deployments/deployment/{deployment}/run?parameters={demo}"
    )
    page.press("main form button[type=submit]")
    page.until("!location.pathname.endsWith('/run')")
    (run, *_) = started = up.runs()
    assert len(started) == before + 1
    ended = up.ended(run["id"])
    assert ended["state_name"] == "Refused"  # its hosts do not answer
    latest = json.loads(up.call("history", "demo", "--limit", "1", "--json").stdout)[0]
    assert (latest["flow_run_id"], latest["requested_by"]) == (run["id"], "prefect-ui")


def test_the_login_is_in_no_log_and_no_argument(up: Up) -> None:
    secret = server_login(up.home).partition(":")[2].encode()
    for log in up.home.run.iterdir():
        assert secret not in log.read_bytes(), log
    for pid in (path for path in Path("/proc").iterdir() if path.name.isdigit()):
        try:
            argv = (pid / "cmdline").read_bytes()
        except OSError:  # it has ended
            continue
        assert secret not in argv, pid


def test_down_and_up_again_keep_the_login_and_a_wrong_one_is_told(up: Up) -> None:
    before = server_login(up.home)
    assert up.call("down").returncode == 0
    again = up.call("up", "--port", str(up.port))
    assert again.returncode == 0, again.stderr
    assert f"the line in {up.home.path}/prefect-login" in again.stdout
    assert server_login(up.home) == before
    file = up.home.path / "prefect-login"
    file.write_text("ann:another-login-than-before\n")
    try:
        told = up.call("etcd-deploy", "demo")
        assert told.returncode == 2
        assert "does not take the login: it was started with another one" in told.stderr
        assert "run `quoracy down`, then `quoracy up`" in told.stderr
    finally:
        file.write_text(before + "\n")


def test_a_server_from_before_that_lets_everybody_in_is_named_and_left_alone(up: Up) -> None:
    assert up.call("down").returncode == 0
    environment = {**up.environment, "PREFECT_HOME": str(up.home.prefect), "DO_NOT_TRACK": "1"}
    del environment[LOGIN]
    command = (sys.executable, "-m", "prefect", "server", "start", "--port", str(up.port))
    with subprocess.Popen(
        (*command, "--host", "127.0.0.1"),
        env=environment,
        cwd=up.home.path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            up.record_server(server.pid)
            told = up.call("up")
            assert told.returncode == 2
            assert "was started without a login" in told.stderr
            assert "run `quoracy down`, then `quoracy up`" in told.stderr
            assert server.poll() is None
            assert "✗ login of the Prefect server" in up.call("doctor").stdout
        finally:
            server.terminate()
