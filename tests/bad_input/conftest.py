"""A controller for each test: an empty home, which the command finds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from quoracy.home import Home
from tests.bad_input.bad_controller import rows
from tests.controller import home_in, record

NEIGHBOUR = """\
kind: etcd
name: neighbour
version: 3.5.16
hosts:
  - {name: n-1, address: 198.51.100.2}
  - {name: n-2, address: 198.51.100.3, peer_address: 192.0.2.3}
  - {name: n-3, address: 198.51.100.9}
ports: {client: 12379, peer: 12380}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    home = home_in(tmp_path)
    monkeypatch.setenv("QUORACY_HOME", str(home.path))
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("PREFECT_API_URL", "QUORACY_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture(scope="session")
def neighbour_db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with one cluster in it; making one takes longer than most tests here."""
    place = tmp_path_factory.mktemp("neighbour")
    record(home_in(place), NEIGHBOUR)
    return place / "home" / "quoracy.db"


@pytest.fixture
def before(home: Home, neighbour_db: Path) -> list[str]:
    """The rows of a database with one cluster in it, so that there is something that may not change."""
    shutil.copy(neighbour_db, home.path / "quoracy.db")
    return rows(home)
