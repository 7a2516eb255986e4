"""`quoracy lab` as a user meets it, each call a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from lab.cli import lab_app
from lab.lab import Lab
from quoracy.errors import UsageError

_PROGRAM = (sys.executable, "-c", "from lab.cli import lab_app; lab_app()")


def _lab(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run((*_PROGRAM, *arguments), capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [["down"], ["down", "demo", "--all"]])
def test_down_wants_a_name_or_all(arguments: list[str]) -> None:
    outcome = CliRunner().invoke(lab_app, arguments)
    assert isinstance(outcome.exception, UsageError)


def test_a_host_of_no_lab_is_told_how_to_get_one() -> None:
    outcome = CliRunner().invoke(lab_app, ["fault", "pause", "nobody-1"])
    assert isinstance(outcome.exception, UsageError)
    assert outcome.exception.next_step == "`quoracy lab up --name nobody`"


@pytest.mark.lab
def test_list_shows_the_present_state(lab: Lab) -> None:
    name = lab.hosts[0].name
    assert _lab("fault", "pause", name).returncode == 0
    assert _state(lab, name) == "paused"
    assert _lab("fault", "resume", name).returncode == 0
    assert _state(lab, name) == "running"
    assert name in _lab("list").stdout


def _state(lab: Lab, host: str) -> str:
    labs = {each["name"]: each for each in json.loads(_lab("list", "--json").stdout)}
    return str({each["name"]: each["state"] for each in labs[lab.name]["hosts"]}[host])


@pytest.mark.lab
def test_ssh_runs_a_command_with_options_and_gives_its_exit_code(lab: Lab) -> None:
    name = lab.hosts[0].name
    assert _lab("ssh", name, "hostname", "-s").stdout == f"{name}\n"
    assert _lab("ssh", name, "exit 7").returncode == 7


@pytest.mark.lab
def test_ssh_refuses_a_host_whose_key_is_another(lab: Lab) -> None:
    name = lab.hosts[0].name
    trusted = lab.known_hosts.read_text()
    keys = [line.split(" ", 1)[1] for line in trusted.splitlines()]
    swapped = [f"{host.address} {key}\n" for host, key in zip(lab.hosts, keys[1:], strict=False)]
    try:
        lab.known_hosts.write_text("".join(swapped))
        refused = _lab("ssh", name, "true")
    finally:
        lab.known_hosts.write_text(trusted)
    assert refused.returncode == 255
    assert "Host key verification failed" in refused.stderr


@pytest.mark.lab
def test_up_again_says_what_to_do_next(lab: Lab) -> None:
    up = _lab("up", "--name", lab.name, "--hosts", str(len(lab.hosts)))
    assert f"quoracy cluster apply -f {lab.cluster_yaml}" in up.stdout
    assert f"quoracy etcd-deploy {lab.name}" in up.stdout
    assert f"quoracy lab down {lab.name}" in up.stdout
