"""Each measure of `make bench-deploy`, taken once."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import yaml

from bench.ansible_side import Ansible
from bench.site import quoracy, writer
from lab.lab import Lab
from quoracy.db.operations import latest_operation, steps_of
from quoracy.db.session import open_database
from quoracy.etcd.spec import EtcdCluster
from quoracy.etcd.spec_parse import parse_cluster
from quoracy.home import Home
from tests.judges.watch import Watch, overlaps

VERSION = "3.5.16"
FIRST_SNAPSHOT_COUNT = 100_000
# For hosts a fraction of a millisecond apart (etcd's tuning guide: ten round trips and more). Both
# tools watch each member for two election timeouts, which with etcd's default is 1 s longer.
TIMING = {"heartbeat_interval_ms": 50, "election_timeout_ms": 500}


@dataclass(frozen=True, slots=True)
class Roll:
    """One roll of all members, as it was seen from outside and as the journal has it.

    Attributes:
        seconds: From the operation's start to its end, without the backup.
        command_s: Wall clock of the whole command, imports and backup included.
    """

    seconds: float
    backup_s: float
    command_s: float
    lost_writes: int
    failed_writes: int
    longest_stall_s: float
    leader_changes: int
    overlaps: int
    hashes_equal: bool


@dataclass(slots=True)
class Bench:
    """The cluster under measurement and both tools on it."""

    lab: Lab
    home: Home
    directory: Path
    ansible: Ansible
    _settings: int = field(default=0, init=False)

    def change_setting(self) -> EtcdCluster:
        """Want another snapshot-count than any time before, in the spec and for Ansible."""
        self._settings += 1
        spec = yaml.safe_load(self.lab.cluster_yaml.read_text())
        spec["version"] = VERSION
        spec["etcd"] = {**TIMING, "snapshot_count": FIRST_SNAPSHOT_COUNT + self._settings}
        file = self.directory / "cluster.yaml"
        file.write_text(yaml.safe_dump(spec))
        quoracy("cluster", "apply", "-f", str(file))
        cluster = parse_cluster(file.read_text(), source=str(file))
        self.ansible.want(cluster)
        return cluster

    def plan_s(self) -> float:
        """Wall clock of `quoracy plan etcd-deploy` when nothing is to be done."""
        began = time.monotonic()
        quoracy("plan", "etcd-deploy", self.lab.name)
        return time.monotonic() - began

    def noop_flow_s(self) -> float:
        """The flow's run when nothing is to be done, in a fresh process, without its imports."""
        command = (sys.executable, "-m", "bench.noop_flow", self.lab.name)
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds, _, ending = done.stdout.strip().rpartition("\n")[2].partition(" ")
        _require(ending == "Nothing to do", f"the no-op flow ended as {ending!r}")
        return float(seconds)

    def ansible_noop_s(self) -> float:
        """Wall clock of ansible-playbook when nothing is to be done."""
        seconds, changes = self.ansible.play()
        _require(not any(changes.values()), f"Ansible's no-op changed something: {changes}")
        return seconds

    def roll_floor_s(self, cluster: EtcdCluster) -> float:
        """The members' own restarts: one after the other, each until a linearizable read succeeds."""
        tls = f"{cluster.config_dir}/tls"
        read = shlex.join(
            (
                f"{cluster.config_dir}/current/release/etcdctl",
                f"--endpoints=https://127.0.0.1:{cluster.ports.client}",
                f"--cacert={tls}/ca.pem",
                f"--cert={tls}/client.pem",
                f"--key={tls}/client.key",
                "get",
                "health",
            )
        )
        restart = f"systemctl restart {cluster.unit}; until {read} >/dev/null 2>&1; do :; done"
        with writer(cluster, self.home, self.directory) as writing:
            began = time.monotonic()
            for host in cluster.hosts:
                self.lab.shell(host.name, restart)
            seconds = time.monotonic() - began
            writing.stop()
        return seconds

    def ansible_roll_s(self, cluster: EtcdCluster) -> float:
        """Wall clock of ansible-playbook when a setting has changed; it takes no backup."""
        watch = Watch(self.lab, cluster)
        since = watch.now_us()
        with writer(cluster, self.home, self.directory) as writing:
            seconds, _ = self.ansible.play()
            writing.stop()
        _require_rolled(watch, cluster, since)
        return seconds

    def roll(self, cluster: EtcdCluster) -> Roll:
        """`quoracy etcd-deploy` when a setting has changed, under the writer."""
        watch = Watch(self.lab, cluster)
        since, asked_at = watch.now_us(), datetime.now(UTC)
        with writer(cluster, self.home, self.directory) as writing:
            began = time.monotonic()
            quoracy("etcd-deploy", cluster.name)
            command_s = time.monotonic() - began
            report = writing.stop()
            lost = writing.lost_writes(report)
        _require_rolled(watch, cluster, since)
        seconds, backup_s = self._journalled(cluster.name, asked_at)
        return Roll(
            seconds=seconds,
            backup_s=backup_s,
            command_s=command_s,
            lost_writes=len(lost),
            failed_writes=report.failed,
            longest_stall_s=report.longest_stall_s,
            leader_changes=len(watch.leader_changes(since)),
            overlaps=len(overlaps(watch.down_intervals(since))),
            hashes_equal=watch.hashkv().equal,
        )

    def _journalled(self, cluster: str, asked_at: datetime) -> tuple[float, float]:
        """Seconds of the operation without its backup, and of the backup."""
        db = open_database(self.home.database_url)
        try:
            operation = latest_operation(db, cluster, asked_at)
            _require(operation is not None and operation.ended_at is not None, "no operation")
            assert operation is not None
            assert operation.ended_at is not None
            backups = [step for step in steps_of(db, operation.id) if step.name == "take-snapshot"]
        finally:
            db.close()
        times = [(step.started_at, step.ended_at) for step in backups]
        backup_s = sum((end - start).total_seconds() for start, end in times if start and end)
        return (operation.ended_at - operation.started_at).total_seconds() - backup_s, backup_s


def _require_rolled(watch: Watch, cluster: EtcdCluster, since_us: int) -> None:
    """A roll that restarted less than every member, or one of them twice, measures nothing."""
    restarted = sorted(down.member for down in watch.down_intervals(since_us))
    wanted = sorted(host.name for host in cluster.hosts)
    _require(restarted == wanted, f"restarted were {restarted}, not {wanted}")


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise RuntimeError(problem)
