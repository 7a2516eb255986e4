"""A controller of a test's own: home, database, and a cluster whose hosts do not answer."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from quoracy.db.session import open_database
from quoracy.etcd.record import record_cluster
from quoracy.etcd.spec import EtcdCluster
from quoracy.home import Home, load_home


@contextmanager
def port_nobody_listens_on() -> Iterator[int]:
    """A TCP port of loopback that is taken and refuses connections, as no one accepts them."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def spec_text(directory: Path, port: int, name: str = "demo", **settings: object) -> str:
    """A cluster.yaml of three hosts on loopback, whose sshd would be on the port."""
    known_hosts = directory / "known_hosts"
    known_hosts.touch()
    hosts = [{"name": f"{name}-{n}", "address": f"127.0.0.{n}"} for n in (1, 2, 3)]
    return yaml.safe_dump(
        {
            "kind": "etcd",
            "name": name,
            "version": "3.5.16",
            "ssh": {"port": port, "known_hosts": str(known_hosts)},
            "hosts": hosts,
            "release": {"directory": str(directory)},
            "backup": {"directory": str(directory)},
            **settings,
        }
    )


def record(home: Home, text: str) -> EtcdCluster:
    """Record a spec in the home's database, as `quoracy cluster apply` does."""
    cluster = EtcdCluster.model_validate(yaml.safe_load(text))
    db = open_database(home.database_url)
    try:
        record_cluster(db, cluster)
    finally:
        db.close()
    return cluster


def caches() -> Path:
    """A home for what builds keep, for all tests on this machine: the first one of Go is long."""
    return Path(tempfile.gettempdir()) / f"quoracy-tests-{os.getuid()}"


def home_in(directory: Path) -> Home:
    """A home below the directory."""
    return load_home({"QUORACY_HOME": str(directory / "home"), "HOME": str(directory)})
