"""SIGTERM, and a terminal that is closed: the host is put back first. And what `status` says of a release
that nobody has seen healthy."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from quoracy.cli.service_tables import status_row
from quoracy.db.models import Operation
from quoracy.services.project import load_service
from tests.services.redeploy_process import killed
from tests.services.shop import Shop

pytestmark = pytest.mark.lab

QUICK = {"stop_timeout": 2, "pre_deploy_hook": None, "post_deploy_hook": None, "activation": None}
LONGEST_S = 60
COMMAND = ("quoracy", "service", "redeploy", "web", "--without-prefect")


@pytest.fixture(scope="module")
def web(shop: Shop) -> Shop:
    shop.set("web", hosts=(1,), **QUICK)
    shop.version("web", "good")
    assert shop.redeploy("web").outcome == "done"
    return shop


@pytest.fixture
def watching(web: Shop) -> Shop:
    """The gate takes its time, and there is something new."""
    web.set("web", hosts=(1,), health_check_stable=30)
    web.version("web", "new")
    return web


def begin(shop: Shop, stream: int) -> subprocess.Popen[bytes]:
    """The command, which says to a stream what it does; that is the terminal that it belongs to, if it is one."""

    def take_the_terminal() -> None:
        os.setsid()
        if os.isatty(stream):
            fcntl.ioctl(stream, termios.TIOCSCTTY, 0)

    program = str(Path(sys.executable).with_name(COMMAND[0]))
    return subprocess.Popen(
        (program, *COMMAND[1:]),
        cwd=shop.project,
        env={**os.environ, "QUORACY_HOME": str(shop.home.path), "COLUMNS": "100"},
        stdin=subprocess.DEVNULL,
        stdout=stream,
        stderr=stream,
        preexec_fn=take_the_terminal,
    )


def await_gate(shop: Shop) -> None:
    """Until a step of the newest operation waits for the release to be healthy."""
    deadline = time.monotonic() + LONGEST_S
    while time.monotonic() < deadline:
        newest = shop.operations("web")[0]
        if any((s.name, s.state) == ("await-service", "started") for s in shop.steps(newest.id)):
            return
        time.sleep(0.05)
    raise AssertionError("the gate was never reached")


def require_put_back(shop: Shop) -> Operation:
    assert shop.ask("web").endswith("version=good\n")
    assert shop.facts("web").unit.active == "active"
    newest = shop.operations("web")[0]
    assert newest.outcome == "rolled_back", newest.error
    return newest


@contextmanager
def ended_in_time(child: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        child.kill()
        child.wait()


def test_sigterm_puts_the_host_back_before_the_command_ends(watching: Shop) -> None:
    child = begin(watching, subprocess.PIPE)
    with ended_in_time(child):
        await_gate(watching)
        # As a service manager does that loses patience.
        for _ in range(3):
            child.send_signal(signal.SIGTERM)
            time.sleep(0.2)
        said, _ = child.communicate(timeout=LONGEST_S)
    assert child.returncode == 1, said
    assert b"SIGTERM: interrupting: what is half done is put back" in said
    assert b"RolledBack: " in said
    assert "ended by SIGTERM; what had been changed was put back" in str(
        require_put_back(watching).error
    )


def test_a_terminal_that_is_closed_leaves_no_host_half_done(watching: Shop) -> None:
    """The kernel sends SIGHUP, and nothing that is printed from then on arrives anywhere."""
    ours, theirs = pty.openpty()
    child = begin(watching, theirs)
    os.close(theirs)
    with ended_in_time(child):
        await_gate(watching)
        os.close(ours)
        assert child.wait(timeout=LONGEST_S) == 1
    assert "ended by SIGHUP" in str(require_put_back(watching).error)


def test_a_release_that_was_never_seen_healthy_is_not_called_serving(watching: Shop) -> None:
    killed(watching, "web", "await-service", 1, "during", delay_s=3)
    host = watching.lab.hosts[0].name
    service = load_service(watching.project, "web").service

    def status() -> tuple[bool, str]:
        row = status_row(service, host, watching.facts("web"))
        return row["well"], row["state"]

    assert watching.ask("web").endswith("version=new\n")
    assert status() == (False, "not proven: it runs, and has never passed the gate")
    watching.set("web", hosts=(1,), health_check_stable=0)
    assert watching.redeploy("web").outcome == "done"
    assert status() == (True, "serving")
    # As a switch to it does that is cut off.
    watching.shell("cd /opt/web/current/.quoracy; mv healthy proven")
    assert status() == (
        False,
        "not proven: it runs, and has not passed the gate since its last switch",
    )
