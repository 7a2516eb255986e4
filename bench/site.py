"""What benchmark and demonstration share: the command line as a user meets it, and the writer's files."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from quoracy.etcd.spec import EtcdCluster
from quoracy.etcd.templates import client_url
from quoracy.home import Home
from quoracy.pki.authority import Authority
from tests.judges.gateway import ClientFiles
from tests.judges.writer import Writer

QUORACY = Path(sys.executable).with_name("quoracy")


@dataclass(frozen=True, slots=True)
class CommandEnded:
    """A command of ours that has ended."""

    exit_code: int
    output: str


def quoracy(*words: str, expect: tuple[int, ...] = (0,)) -> CommandEnded:
    """Run `quoracy` in a process of its own, quietly.

    Raises:
        RuntimeError: Its exit code is not among the expected ones.
    """
    done = subprocess.run(
        (str(QUORACY), *words),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode not in expect:
        command = " ".join(words)
        raise RuntimeError(f"quoracy {command}: exit code {done.returncode}\n{done.stdout}")
    return CommandEnded(done.returncode, done.stdout)


def writer(cluster: EtcdCluster, home: Home, directory: Path) -> Writer:
    """A writer of 100 writes a second with a client certificate of the cluster's own CA."""
    ca = home.pki / cluster.name
    leaf = Authority.load(ca).issue("client", "writer", [], datetime.now(UTC), timedelta(days=1))
    cert, key = directory / "writer.pem", directory / "writer.key"
    cert.write_bytes(leaf.cert_pem)
    key.touch(mode=0o600)
    key.write_bytes(leaf.key_pem)
    files = ClientFiles(str(ca / "ca.pem"), str(cert), str(key))
    return Writer([client_url(cluster, host) for host in cluster.hosts], files)
