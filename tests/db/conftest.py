"""Databases to test on: SQLite files, and a PostgreSQL server of our own on loopback."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from quoracy.db.session import Database, open_database


@dataclass(frozen=True, slots=True)
class Server:
    """A running PostgreSQL; `password` is real, so tests can look for it in messages."""

    port: int
    password: str

    def url(self, name: str) -> str:
        return f"postgresql://quoracy:{self.password}@127.0.0.1:{self.port}/{name}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not programs:
        pytest.skip("PostgreSQL is not installed (Debian package: postgresql)")
    directory = Path(tempfile.mkdtemp(prefix="quoracy-pg-"))
    server = Server(port=_free_port(), password=secrets.token_hex(16))
    process = _start(programs[-1].parent, directory, server)
    try:
        _wait_until_it_answers(server, process)
        yield server
    finally:
        process.send_signal(signal.SIGINT)  # "fast shutdown"
        process.wait(timeout=30)
        shutil.rmtree(directory)


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Makes URLs of databases that hold nothing yet; every test runs on both kinds."""
    if request.param == "sqlite":
        return lambda: f"sqlite:///{tmp_path / secrets.token_hex(4)}.db"
    server: Server = request.getfixturevalue("postgres")

    def create() -> str:
        name = f"t{secrets.token_hex(4)}"
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return server.url(name)

    return create


@pytest.fixture
def url(new_url: Callable[[], str]) -> str:
    return new_url()


@pytest.fixture
def db(url: str) -> Iterator[Database]:
    database = open_database(url)
    yield database
    database.close()


@pytest.fixture
def now() -> datetime:
    return datetime(2026, 11, 20, 3, 0, tzinfo=UTC)


def _start(programs: Path, directory: Path, server: Server) -> subprocess.Popen[bytes]:
    # PostgreSQL refuses to run as root. The signal stops it when a test run is killed.
    user = ["--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []
    prefix = ["setpriv", "--pdeathsig=INT", *user]
    password_file = directory / "password"
    password_file.write_text(server.password)
    if user:
        shutil.chown(directory, "postgres", "postgres")
        shutil.chown(password_file, "postgres", "postgres")
    data = str(directory / "data")
    init = [f"{programs}/initdb", "-D", data, "-U", "quoracy", f"--pwfile={password_file}"]
    subprocess.run(
        [*prefix, *init, "--auth=scram-sha-256", "--no-sync", "--no-locale", "-E", "UTF8"],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd="/",
    )
    serve = [f"{programs}/postgres", "-D", data, "-h", "127.0.0.1", "-p", str(server.port)]
    # A time zone that is not UTC shows what depends on the session's zone.
    settings = ["-c", "fsync=off", "-c", "timezone=Asia/Kolkata"]
    with (directory / "log").open("wb") as log:
        return subprocess.Popen(
            [*prefix, *serve, "-k", directory, *settings], stdout=log, stderr=log, cwd="/"
        )


def _wait_until_it_answers(server: Server, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(server.url("postgres")).close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
