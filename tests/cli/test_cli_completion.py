"""Shells complete the names of services."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from quoracy.home import Home
from tests.cli.cli_services import config


def completed(program: str, home: Home, **variables: str) -> str:
    """What a program of ours writes when a shell asks it, by variables, at its start."""
    module = {"quoracy": "app", "pxdcli": "pxdcli"}[program]
    script = f"import sys; sys.argv[0] = '{program}'; from quoracy.cli.{module} import main; main()"
    done = subprocess.run(
        (sys.executable, "-c", script),
        env={**os.environ, "QUORACY_HOME": str(home.path), **variables},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_are_given_their_completion(home: Home, shell: str) -> None:
    told = completed("pxdcli", home, _PXDCLI_COMPLETE=f"source_{shell}")
    assert f"complete_{shell}" in told
    assert "pxdcli" in told


def asked(shell: str, program: str, words: str) -> dict[str, str]:
    """The variables by which Typer's script for that shell asks."""
    variable = f"_{program.upper()}_COMPLETE"
    if shell == "bash":
        count = len(words.split(" ")) - 1
        return {variable: "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(count)}
    action = {"_TYPER_COMPLETE_FISH_ACTION": "get-args"} if shell == "fish" else {}
    return {variable: f"complete_{shell}", "_TYPER_COMPLETE_ARGS": words, **action}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("program", ["pxdcli", "quoracy service"])
def test_names_of_services_are_completed(
    home: Home, project: Path, shell: str, program: str
) -> None:
    config(project, "broken", "service_type: [")
    name = program.split(" ", maxsplit=1)[0]
    told = completed(name, home, **asked(shell, name, f"{program} redeploy s"))
    assert "shop" in told
    assert "site" in told
    assert "db" not in told
    told = completed(name, home, **asked(shell, name, f"{program} rollback b"))
    assert "broken" in told


def test_completion_of_another_project_and_of_none(home: Home, project: Path) -> None:
    for directory, wanted in ((project, ["shop"]), (project / "none", []), (project.parent, [])):
        words = f"pxdcli redeploy --project {directory} sh"
        assert completed("pxdcli", home, **asked("bash", "pxdcli", words)).split() == wanted
