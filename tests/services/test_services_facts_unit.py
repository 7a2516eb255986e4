"""Whose the listeners on a service's port are: real processes and sockets, in a control group of the test."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from quoracy.services.facts_state import UnitState, healthy_question, parse_state, state_question
from quoracy.services.spec import Service
from tests.service_factories import service

LISTEN = """\
import socket, sys
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
server.bind(("127.0.0.1", int(sys.argv[1])))
server.listen()
print(server.getsockname()[1], flush=True)
sys.stdin.read()
"""
SYSTEMCTL = """#!/bin/sh
echo "MainPID={main}
NRestarts=0
ControlGroup=/web
Id=web.service
ActiveState=active
SubState=running

Listen=[::]:{listen} (Stream)
Id=web.socket
ActiveState={socket}
SubState=dead"
"""


@contextmanager
def listener(port: int = 0) -> Iterator[tuple[int, int]]:
    """A process that listens; its ID and its port."""
    with subprocess.Popen(
        [sys.executable, "-c", LISTEN, str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process.pid, int(process.stdout.readline())
        finally:
            process.kill()


@contextmanager
def waiting() -> Iterator[int]:
    """A process that listens nowhere."""
    with subprocess.Popen(["sleep", "100"]) as process:
        try:
            yield process.pid
        finally:
            process.kill()


class Unit:
    """What systemd and the kernel say of a unit, in a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.release = root / "r1"
        (self.release / ".quoracy").mkdir(parents=True)
        (self.release / ".quoracy/complete").touch()
        (root / "web").mkdir()

    def shell(
        self, text: str, main: int, *others: int, held: str = "inactive", listen: int = 0
    ) -> UnitState:
        program = self.root / "systemctl"
        program.write_text(SYSTEMCTL.format(main=main, socket=held, listen=listen))
        program.chmod(0o755)
        (self.root / "web/cgroup.procs").write_text("".join(f"{pid}\n" for pid in others))
        moved = text.replace("/sys/fs/cgroup", str(self.root)).replace("/proc/1/fd", self.pid_1)
        done = subprocess.run(
            ["sh", "-eu", "-c", moved],
            capture_output=True,
            env={**os.environ, "PATH": f"{self.root}:{os.environ['PATH']}"},
            check=True,
        )
        return parse_state(done.stdout)

    pid_1 = f"/proc/{os.getpid()}/fd"

    def state(
        self, port: int, main: int, *others: int, held: str = "inactive", listen: int = 0
    ) -> UnitState:
        asked = state_question(service(app_port=port), str(self.release))
        return self.shell(asked, main, *others, held=held, listen=listen or port)

    def marked(self, wanted: Service, main: int, *others: int) -> bool:
        begin = UnitState("active", "running", main, 0, inside=True)
        self.shell(healthy_question(wanted, str(self.release), begin), main, *others)
        mark = self.release / ".quoracy/healthy"
        found = mark.exists()
        mark.unlink(missing_ok=True)
        return found


@pytest.fixture
def unit(tmp_path: Path) -> Unit:
    return Unit(tmp_path)


def test_what_the_main_process_or_a_younger_one_holds_is_its_own(unit: Unit) -> None:
    with waiting() as main, listener() as (worker, port):
        assert unit.state(port, main, main, worker) == UnitState(
            "active", "running", main, 0, inside=False, works_in=str(Path.cwd())
        )
        assert not unit.state(port, worker, worker).stranger
        assert unit.marked(service(app_port=port), main, main, worker)


def test_what_nobody_of_the_unit_holds_is_a_strangers(unit: Unit) -> None:
    with waiting() as main, listener() as (_, port):
        assert unit.state(port, main, main).stranger
        assert not unit.state(port, 0).stranger
        assert not unit.marked(service(app_port=port), main, main)
        assert unit.marked(service(app_port=port, service_type="static"), main, main)


def test_what_an_earlier_start_has_left_is_a_strangers(unit: Unit) -> None:
    """It is still in the unit's control group (KillMode=process), and may share the port."""
    with listener() as (left, port), listener(port) as (main, _):
        assert unit.state(port, main, left, main).stranger
        assert not unit.marked(service(app_port=port), main, left, main)
        assert unit.state(port, main, main).stranger
    with listener() as (main, port), listener(port) as (worker, _):
        assert not unit.state(port, main, main, worker).stranger


def test_a_socket_of_systemds_is_its_own_while_its_socket_unit_is_active(unit: Unit) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, waiting() as main:
        port = server.getsockname()[1]
        assert not unit.state(port, main, main, held="active").stranger
        assert unit.state(port, main, main, held="inactive").stranger


def test_the_port_of_another_socket_unit_is_a_strangers(unit: Unit) -> None:
    """systemd holds them all; its own socket unit listens elsewhere."""
    with socket.create_server(("127.0.0.1", 0)) as server, waiting() as main:
        port = server.getsockname()[1]
        for other in (port + 1, 80, int(f"1{port}"), int(f"{port}0")):
            assert unit.state(port, main, main, held="active", listen=other).stranger


def test_a_process_of_before_must_not_hold_systemds_socket(unit: Unit) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port, number = server.getsockname()[1], server.fileno()
        with subprocess.Popen(["sleep", "100"], pass_fds=(number,)) as left:
            time.sleep(2 / os.sysconf("SC_CLK_TCK"))  # starts are told apart by the kernel's ticks
            with waiting() as main:
                seen = unit.state(port, main, left.pid, main, held="active")
            left.kill()
        assert seen.stranger


def test_nobody_listens_yet(unit: Unit) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with waiting() as main:
        assert not unit.state(port, main, main).stranger


def test_it_listens_on_another_address_only_and_somebody_else_on_this_one(unit: Unit) -> None:
    with listener() as (_, port), socket.socket(socket.AF_INET6) as six:
        six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        six.bind(("::1", port))
        six.listen()
        with waiting() as main:
            assert unit.state(port, main, main, os.getpid()).stranger
