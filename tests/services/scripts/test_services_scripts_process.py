"""What a process is given and what one leaves, by a real shell with real processes; systemd is a stub."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from quoracy.services.scripts_process import dotenv_copied, rest_ended
from quoracy.services.scripts_switch import switch_back, switch_release
from tests.services.scripts.service_machine import USER, Machine, stage, web

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a host's scripts run as root")


def put(machine: Machine, text: str, owner: str = USER, mode: int = 0o600) -> Path:
    """A file of variables, as its owner has it."""
    path = machine.dir / "shared/.env"
    path.write_text(text)
    path.chmod(mode)
    subprocess.run(["chown", f"{owner}:", path], check=True)
    return path


def test_the_copy_is_roots_and_follows_at_each_start(machine: Machine, tree: Path) -> None:
    stage(machine, web(), tree, "r1", "r2")
    source, copy = put(machine, "A=1\n"), machine.dir / ".quoracy/dotenv"
    machine.run(switch_release(web(), "r1"))
    assert (copy.read_text(), copy.owner(), copy.stat().st_mode & 0o777) == ("A=1\n", "root", 0o600)
    put(machine, "A=2\n")
    machine.run(switch_back(web(), "r1", "r2"))
    assert copy.read_text() == "A=2\n"
    source.unlink()
    machine.run(switch_release(web(), "r2"))
    assert [each.name for each in (machine.dir / ".quoracy").glob("dotenv*")] == []


def test_a_file_that_only_root_can_read_is_not_read(machine: Machine, tree: Path) -> None:
    """Whether it is a link of the service's or was put there by hand."""
    stage(machine, web(), tree, "r1", "r2")
    put(machine, "A=1\n")
    machine.run(switch_release(web(), "r1"))
    machine.orders.clear()
    secret = machine.root / "secret"
    secret.write_text("ROOTS=yes\n")
    secret.chmod(0o600)
    (machine.dir / "shared/.env").unlink()
    (machine.dir / "shared/.env").symlink_to(secret)
    said = machine.fails(switch_release(web(), "r2"))
    assert f"shared/.env cannot be read by {USER}: give it to that user" in said
    assert not [line for line in machine.orders if line.startswith("restart")]
    machine.run(switch_back(web(), "r1", "r2"))
    assert (machine.dir / ".quoracy/dotenv").read_text() == "A=1\n"
    assert [each.name for each in (machine.dir / ".quoracy").glob("dotenv*")] == ["dotenv"]
    (machine.dir / "shared/.env").unlink()
    put(machine, "A=1\n", owner="root")
    assert "cannot be read" in machine.fails(switch_release(web(), "r2"))


def test_without_it_no_process_is_started(machine: Machine) -> None:
    for name in ("setpriv", "cat", "id", "rm", "mv", "sync"):
        machine.program(name, f"#!/bin/sh\necho {name} >> ROOT/started\n")
    (machine.dir / "shared").mkdir(parents=True)
    machine.run(dotenv_copied(web(), must_read=True))
    assert not (machine.root / "started").exists()


def test_a_pipe_is_not_waited_for(machine: Machine) -> None:
    (machine.dir / "shared").mkdir(parents=True)
    os.mkfifo(machine.dir / "shared/.env")
    assert machine.run(dotenv_copied(web(), must_read=True)) == ""


@pytest.mark.parametrize("group", ["/web", ""])
def test_what_a_stop_has_left_is_ended(machine: Machine, group: str) -> None:
    service = web(redeploy={"stop_timeout": 1})
    procs = machine.root / "cgroup/web/cgroup.procs"
    procs.parent.mkdir(parents=True)
    procs.write_text("1234\n")
    (machine.root / "cgroup/cgroup.procs").write_text("1\n")  # the root's: every process
    ends = 'case "$*" in *"-s KILL"*) : > ROOT/cgroup/web/cgroup.procs ;; esac'
    machine.program(
        "systemctl",
        f'#!/bin/sh\ncase $1 in show) echo {group} ;; *) echo "$*" >> ROOT/systemctl; {ends} ;; esac\n',
    )
    machine.run(rest_ended(service).replace("/sys/fs/cgroup", str(machine.root / "cgroup")))
    assert machine.orders == (["kill web.service", "kill -s KILL web.service"] if group else [])
    machine.run(rest_ended(service).replace("/sys/fs/cgroup", str(machine.root / "cgroup")))
    assert machine.orders == []


def test_a_file_that_is_too_large_is_not_copied(machine: Machine, tree: Path) -> None:
    stage(machine, web(), tree, "r1")
    os.truncate(put(machine, ""), 300 * 1024**3)
    assert "shared/.env is larger than 1 MiB" in machine.fails(switch_release(web(), "r1"))
    assert [each.name for each in (machine.dir / ".quoracy").glob("dotenv*")] == []
