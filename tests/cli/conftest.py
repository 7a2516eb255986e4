"""The command as a user meets it: arguments in, exit code and texts out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from quoracy.cli import pxdcli
from quoracy.cli.app import main
from quoracy.home import Home
from tests.cli.cli_services import config, good
from tests.controller import home_in, port_nobody_listens_on, record, spec_text


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call of the command left behind."""

    exit_code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which is one JSON document and nothing else."""
        return json.loads(self.out)

    @property
    def widest(self) -> int:
        """Columns of the longest line on standard output."""
        return max((len(line.rstrip()) for line in self.out.splitlines()), default=0)


Call = Callable[..., Outcome]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty home, no server, and a terminal of 80 columns."""
    home = home_in(tmp_path)
    monkeypatch.setenv("QUORACY_HOME", str(home.path))
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("PREFECT_API_URL", "QUORACY_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture
def call(home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Call the command in this process: `call("status", "demo", "--json")`."""

    def run(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["quoracy", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        assert "Traceback" not in told.out + told.err
        code = ended.value.code
        assert code is None or isinstance(code, int)
        return Outcome(code or 0, told.out, told.err)

    return run


@pytest.fixture
def spec_file(home: Home, tmp_path: Path) -> Iterator[Path]:
    """A cluster.yaml of the cluster demo, whose hosts do not answer."""
    with port_nobody_listens_on() as port:
        file = tmp_path / "cluster.yaml"
        file.write_text(spec_text(tmp_path, port))
        yield file


@pytest.fixture
def demo(home: Home, spec_file: Path) -> str:
    """The cluster demo, recorded; its hosts do not answer."""
    return record(home, spec_file.read_text()).name


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project with one service of each state, and the working directory in it."""
    project = tmp_path / "project"
    (tmp_path / "known").touch()
    with port_nobody_listens_on() as port:
        text = good(port, tmp_path / "known")
        config(project, "shop", f"{text}vm_coers: 2\n")
        config(project, "site", text)
        config(project, "db", "service_type: database\ndb_name: shop\n", code=False)
        monkeypatch.chdir(project)
        yield project


@pytest.fixture
def pxd(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Call `pxdcli` in this process; gives exit code, standard output and standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pxdcli", *arguments])
        with pytest.raises(SystemExit) as ended:
            pxdcli.main()
        told = capsys.readouterr()
        assert "Traceback" not in told.out + told.err
        assert isinstance(ended.value.code, int | None)
        return ended.value.code or 0, told.out, told.err

    return run
