"""A controller where secrets are planted wherever a user can put them, and what its commands left."""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from lab.lab import Lab
from quoracy.home import Home, load_home
from quoracy.login import server_login
from quoracy.pki.authority import Authority
from tests.audit.secret_search import Search
from tests.stores.swift_service import S3Service

OWN, GIVEN = "vault", "given"
CHECKOUT = Path(__file__).parents[2]
BLOCK = "audit-s3-secret"
SAVE_BLOCK = """
import sys
from blocks.secret import QuoracySecret
QuoracySecret(value=sys.stdin.read()).save(sys.argv[1])
"""


def key_of_bucket() -> tuple[str, str]:
    """Access and secret key of an S3 service; the latter looks different in URLs and in base64."""
    token = secrets.token_hex
    return f"acc{token(8)}:usr{token(8)}", f"{token(8)}/{token(6)}+{token(8)}=="


@dataclass(slots=True)
class AuditSite:
    """Two clusters on practice hosts, one controller, and all that is secret about them.

    Args:
        place: Directory of the controller: home, temporary files, key files.
        s3: The service that snapshots go to; its keys are among the secrets.
    """

    lab: Lab
    place: Path
    s3: S3Service
    search: Search = field(default_factory=Search)
    output: list[bytes] = field(default_factory=list)
    begun: float = field(default_factory=time.time)
    wrong_key: str = field(default_factory=lambda: key_of_bucket()[1])

    @property
    def home(self) -> Home:
        """The controller's home."""
        return load_home({"QUORACY_HOME": str(self.place / "home"), "HOME": str(self.place)})

    @property
    def temporary(self) -> Path:
        """Where programs of the controller put temporary files."""
        return self.place / "tmp"

    @property
    def secret_file(self) -> Path:
        """What `file:` refers to."""
        return self.place / "s3-secret"

    @property
    def ssh_key(self) -> Path:
        """The controller's SSH key."""
        return self.place / "ssh-key"

    def environment(self) -> dict[str, str]:
        """What commands are run with: the S3 access key, for `env:`, is in it."""
        home = {"QUORACY_HOME": str(self.home.path), "HOME": str(self.place)}
        more = {"TMPDIR": str(self.temporary), "AUDIT_S3_ACCESS": self.s3.access_key}
        return {**os.environ, **home, **more, "no_proxy": "*", "PYTHONPATH": str(CHECKOUT)}

    def plant(self) -> None:
        """Put the secrets where a user would."""
        self.temporary.mkdir()
        self.search.add("S3 access key", self.s3.access_key)
        self.search.add("S3 secret key", self.s3.secret_key)
        self.search.add("wrong S3 secret key", self.wrong_key)
        shutil.copy(self.lab.key_file, self.ssh_key)
        self.ssh_key.chmod(0o600)
        self.search.add_key("SSH key", self.ssh_key.read_bytes())
        authority, now = Authority.create("given", datetime.now(UTC)), datetime.now(UTC)
        self.keep("given-ca.pem", authority.cert_pem)
        address = self.lab.hosts[0].address
        for role in ("peer", "server", "client"):
            names = [] if role == "client" else ["localhost", "127.0.0.1", "::1", address]
            leaf = authority.issue(role, f"given-{role}", names, now)
            self.keep(f"given-{role}.pem", leaf.cert_pem)
            self.keep(f"given-{role}.key", leaf.key_pem)
            self.search.add_key(f"given {role} key", leaf.key_pem)

    def keep(self, name: str, content: bytes | str) -> None:
        """Write a file of the user's, mode 0600."""
        path = self.place / name
        path.touch(mode=0o600)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def save_block(self, url: str) -> None:
        """Keep the S3 secret key in a block of the Prefect server, as the UI does."""
        prefect = {
            "PREFECT_API_URL": f"{url}/api",
            "PREFECT_API_AUTH_STRING": server_login(self.home),
            "PREFECT_HOME": str(self.place / "client"),
        }
        subprocess.run(
            (sys.executable, "-c", SAVE_BLOCK, BLOCK),
            input=self.s3.secret_key.encode(),
            env={**self.environment(), **prefect},
            check=True,
            capture_output=True,
        )

    def record(self, name: str, *, hosts: int = 3, **settings: Any) -> None:
        """Record a cluster with `quoracy cluster apply`; the bucket exists before."""
        spec = {
            "kind": "etcd",
            "name": name,
            "version": "3.5.16",
            "ssh": {"key_file": str(self.ssh_key), "known_hosts": str(self.lab.known_hosts)},
            "hosts": [
                {"name": host.name, "address": host.address} for host in self.lab.hosts[:hosts]
            ],
            "release": {"directory": str(self.lab.archives)},
            **settings,
        }
        self.keep("cluster.yaml", yaml.safe_dump(spec))
        assert self.call("cluster", "apply", "-f", str(self.place / "cluster.yaml")) == 0

    def bucket(self, secret_key: str) -> dict[str, Any]:
        """A backup store whose secret key is the reference."""
        s3 = {"endpoint": self.s3.endpoint, "bucket": "audit", "access_key": "env:AUDIT_S3_ACCESS"}
        return {"s3": {**s3, "secret_key": secret_key}}

    def call(self, *arguments: str) -> int:
        """Run the command line, keep what it printed, and return its exit code."""
        done = subprocess.run(
            (str(Path(sys.executable).with_name("quoracy")), *arguments),
            env=self.environment(),
            cwd=self.home.path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=240,
        )
        self.output += [done.stdout, done.stderr]
        return done.returncode

    def add_keys_of_hosts(self) -> None:
        """What Quoracy has made is secret, too: the keys of the CA, the members and the clients."""
        self.search.add_key("CA key", (self.home.pki / OWN / "ca.key").read_bytes())
        for host in self.lab.hosts[:3]:
            for role in ("peer", "server", "client"):
                pem = self.lab.shell(host.name, f"cat /etc/etcd/{OWN}/tls/{role}.key")
                self.search.add_key(f"{role} key of {host.name}", pem)
        key = (self.home.path / "prefect-encryption-key").read_text()
        self.search.add("key of Prefect's blocks", key)

    @property
    def allowed(self) -> set[Path]:
        """Files of the controller that are there to hold a secret."""
        given = {self.place / f"given-{role}.key" for role in ("peer", "server", "client")}
        made = {self.home.pki / OWN / "ca.key", self.home.path / "prefect-encryption-key"}
        return {self.secret_file, self.ssh_key, *given, *made}

    def databases(self) -> list[Path]:
        """Ours and the Prefect server's."""
        return [self.home.path / "quoracy.db", self.home.prefect / "prefect.db"]

    def root_of(self, host: str) -> Path:
        """A host's file system, as its first process sees it."""
        return Path("/proc", str(self.lab.host(host).leader), "root")

    def await_log(self, text: str, count: int) -> None:
        """Wait until so many log lines with a text have arrived in Prefect's database."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with sqlite3.connect(f"file:{self.databases()[1]}?mode=ro", uri=True) as connection:
                rows = connection.execute("SELECT message FROM log").fetchall()
            connection.close()
            if sum(text in message for (message,) in rows) >= count:
                return
            time.sleep(0.2)
        raise AssertionError(f"there are not {count} log lines with {text!r}")

    def raze(self) -> None:
        """Take both clusters off the hosts."""
        for host in self.lab.hosts[:3]:
            for name in (OWN, GIVEN):
                self.lab.shell(
                    host.name,
                    f"systemctl disable --now etcd-{name}.service 2>/dev/null; rm -rf /etc/etcd/{name}"
                    f" /etc/systemd/system/etcd-{name}.service* /var/lib/etcd/{name}*"
                    f" /var/lib/quoracy/{name}; systemctl daemon-reload",
                )
