"""A cluster on practice hosts and a controller's home, for the fault machine: make, judge, take away."""

from __future__ import annotations

import shlex
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lab.lab import Lab
from quoracy.db.session import open_database
from quoracy.errors import QuoracyError
from quoracy.etcd.record import record_cluster
from quoracy.etcd.spec import EtcdCluster
from quoracy.home import Home, load_home
from quoracy.pki.authority import Authority
from tests.faults.faults_child import Ended, Order, run
from tests.faults.faults_tap import TRACES
from tests.judges.gateway import ClientFiles, Gateway, NotAnswered
from tests.judges.watch import Watch
from tests.judges.watcher import Availability, Watcher
from tests.judges.writer import Writer, WriterReport

OLD, NEW = "3.5.16", "3.5.30"
#: For hosts a fraction of a millisecond apart; each member is then watched for one second.
TIMING = {"heartbeat_interval_ms": 50, "election_timeout_ms": 500}
#: The shortest that a spec may ask for, so that a case with a dead host does not take minutes.
LIMITS = {"start_timeout_s": 10, "stop_timeout_s": 5}

#: Writes per second. A third of them waits a second at a member that is silent, and the writer has
#: 16 threads: at a higher rate it would be the writer that stalls.
RATE = 25.0
#: Alembic keeps its context in a global variable: one database at a time in a process.
_MIGRATING = threading.Lock()


@dataclass(slots=True)
class Seen:
    """What writer, watcher and etcd itself say about one case; nothing of it comes from the product."""

    writes: int = 0
    lost: int = 0
    stall_s: float = 0.0
    leader_changes: int = 0
    below_quorum: int = 0
    below_quorum_s: float = 0.0
    hashes_equal: bool = True


@dataclass(slots=True)
class Rig:
    """One cluster of the first `members` hosts of a lab, and a controller with a database of its own.

    Args:
        place: Directory of the controller; made anew.
    """

    lab: Lab
    place: Path
    name: str
    members: int
    version: str = OLD

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names of the cluster's hosts."""
        return tuple(host.name for host in self.lab.hosts[: self.members])

    @property
    def home(self) -> Home:
        """The controller's home."""
        return self.home_of(self.place / "home")

    @staticmethod
    def home_of(path: Path) -> Home:
        """A controller's home in a directory; its database is SQLite."""
        return load_home({"QUORACY_HOME": str(path), "HOME": str(path)})

    @property
    def backups(self) -> Path:
        """The directory store."""
        return self.place / "backups"

    @property
    def cluster(self) -> EtcdCluster:
        """The spec."""
        lab = self.lab
        port = 20_000 + 10 * self.members
        spec: dict[str, Any] = {
            "kind": "etcd",
            "name": self.name,
            "version": self.version,
            "ssh": {
                "user": "root",
                "key_file": str(lab.key_file),
                "known_hosts": str(lab.known_hosts),
            },
            "hosts": [{"name": name, "address": lab.host(name).address} for name in self.hosts],
            "release": {"directory": str(lab.archives)},
            "backup": {"directory": str(self.backups)},
            "directories": {"bin": f"/opt/etcd-{self.name}"},
            "ports": {"client": port, "peer": port + 1},
            "etcd": TIMING,
            "systemd": LIMITS,
        }
        return EtcdCluster.model_validate(spec)

    @property
    def endpoints(self) -> dict[str, str]:
        """Client URL of each member, by host."""
        port = self.cluster.ports.client
        return {name: f"https://{self.lab.host(name).address}:{port}" for name in self.hosts}

    @property
    def watch(self) -> Watch:
        """The judge that asks hosts and etcd."""
        return Watch(self.lab, self.cluster)

    def order(self, **wanted: Any) -> Order:
        """What a controller of this rig is told."""
        roots = {name: str(self.lab.host(name).root) for name in self.hosts}
        return Order(
            **{"home": str(self.home.path), "cluster": self.name, "roots": roots, **wanted}
        )

    def apply(self, version: str) -> None:
        """Record the spec with a version, as `quoracy cluster apply` does."""
        self.version = version
        with _MIGRATING:
            db = open_database(self.home.database_url)
        try:
            record_cluster(db, self.cluster)
        finally:
            db.close()

    def raze(self, *, releases: bool = True) -> None:
        """Take everything of the cluster off the hosts, and forget the controller's home."""
        bin_dir = self.cluster.directories.bin if releases else ""
        cluster = self.cluster
        paths = (cluster.config_dir, cluster.data_dir, f"/var/lib/quoracy/{self.name}")
        unit = cluster.unit
        self.everywhere(
            f"systemctl kill --signal=KILL {unit} 2>/dev/null; "
            f"systemctl disable --quiet --now {unit} 2>/dev/null; "
            f"systemctl reset-failed {unit} 2>/dev/null; "
            f"rm -rf /etc/systemd/system/{unit} {shlex.join(paths)} {cluster.data_dir}.aside-* "
            f"{bin_dir} /{TRACES}; systemctl daemon-reload"
        )
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir(parents=True)

    def create(self, version: str) -> None:
        """A cluster of this version, made by the product from nothing.

        Raises:
            QuoracyError: It did not come about.
        """
        self.raze()
        self.apply(version)
        ended = run(self.order())
        if ended.outcomes != ["done"]:
            raise QuoracyError(f"no cluster to begin with: {ended.outcomes} {ended.message}")

    def everywhere(self, script: str) -> None:
        """Run a script on every host of the cluster, past SSH."""
        with ThreadPoolExecutor(len(self.hosts)) as threads:
            list(threads.map(lambda name: self.lab.shell(name, script), self.hosts))

    def files(self) -> ClientFiles:
        """A client certificate of the cluster's CA, beside the product's own; made once."""
        cert, key, ca = (self.place / f"judge.{part}" for part in ("pem", "key", "ca"))
        if not ca.exists():
            authority = Authority.load(self.home.pki / self.name)
            leaf = authority.issue("client", "judge", [], datetime.now(UTC), timedelta(days=1))
            cert.write_bytes(leaf.cert_pem)
            key.write_bytes(leaf.key_pem)
            ca.write_bytes(authority.cert_pem)
        return ClientFiles(str(ca), str(cert), str(key))

    def versions(self) -> dict[str, str]:
        """The version that each member runs, as it says itself; "" when it does not answer."""
        context = self.files().context()
        return {name: _version(Gateway(url, context, 5.0)) for name, url in self.endpoints.items()}

    @contextmanager
    def watched(self) -> Iterator[Judge]:
        """Writer and watcher around a case; ask the judge in the end."""
        files, urls = self.files(), list(self.endpoints.values())
        with Watcher(self.endpoints, files) as watcher, Writer(urls, files, rate=RATE) as writer:
            yield Judge(self, watcher, writer)


@dataclass(slots=True)
class Judge:
    """Writer and watcher that run beside a case."""

    rig: Rig
    watcher: Watcher
    writer: Writer

    def verdict(self) -> Seen:
        """Stop both and say what was seen; all members are up by now."""
        report = self.writer.stop()
        availability = self.watcher.stop()
        lost = self.writer.lost_writes(report)
        return _seen(report, availability, len(lost), equal=self.rig.watch.hashkv().equal)


def _seen(report: WriterReport, seen: Availability, lost: int, *, equal: bool) -> Seen:
    below = seen.below_quorum
    return Seen(
        writes=report.acknowledged,
        lost=lost,
        stall_s=report.longest_stall_s,
        leader_changes=seen.leader_changes,
        below_quorum=len(below),
        below_quorum_s=sum(one.seconds for one in below),
        hashes_equal=equal,
    )


def _version(gateway: Gateway) -> str:
    try:
        return str(gateway.post("/v3/maintenance/status", {}).get("version", ""))
    except NotAnswered:
        return ""
    finally:
        gateway.close()


def settled(rig: Rig, ended: Ended, wanted: str) -> str:
    """Why the cluster is not as wanted after the controller has ended; "" when it is."""
    first, *rest = ended.outcomes or ["nothing"]
    if first not in ("done", "nothing_to_do") or rest != ["nothing_to_do"]:
        return f"the next run ended {ended.outcomes}: {ended.message}"
    versions = rig.versions()
    if set(versions.values()) != {wanted}:
        return f"members run {versions}, wanted was {wanted}"
    return ""
