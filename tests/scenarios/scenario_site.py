"""One cluster of the scenarios: asked for through the library loop, judged from outside of it."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from quoracy.db.clusters import get_cluster
from quoracy.db.session import open_database
from quoracy.effects.clusters import record_cluster
from quoracy.effects.etcd_deploy import EtcdDeploy, Wanted, open_etcd_deploy
from quoracy.home import Home, load_home
from quoracy.lab.gateway import ClientFiles
from quoracy.lab.lab import Lab
from quoracy.lab.watch import File, Process, Watch
from quoracy.operate.run import Asked, Report
from quoracy.pki.authority import Authority
from quoracy.plan.plan import Plan, Step
from quoracy.spec.etcd import EtcdCluster

ASKED = Asked(by="tester", origin="terminal on scenarios")
OLD, MIDDLE, NEW = "3.4.23", "3.5.16", "3.5.30"
CHILD = Path(__file__).with_name("deploy_process.py")


@dataclass(frozen=True, slots=True)
class Traces:
    """What a touched cluster would show: files by path, and the members' processes, by host."""

    files: Mapping[str, Mapping[str, File]]
    processes: Mapping[str, Process]


@dataclass(slots=True)
class Site:
    """A cluster on hosts of the lab, and a controller of its own (home and SQLite database).

    Args:
        place: Directory of the controller; made when missing.
        hosts: Names of the lab's hosts that the spec names.
    """

    lab: Lab
    place: Path
    name: str
    hosts: tuple[str, ...]
    version: str = OLD
    settings: dict[str, Any] = field(default_factory=dict)
    deployed: tuple[str, dict[str, Any]] = ("", {})

    @property
    def home(self) -> Home:
        """The controller's home."""
        return load_home({"QUORACY_HOME": str(self.place / "home"), "HOME": str(self.place)})

    @property
    def backups(self) -> Path:
        """The directory store, unless the settings name another."""
        return self.place / "backups"

    @property
    def cluster(self) -> EtcdCluster:
        """The spec as it was applied last."""
        return EtcdCluster.model_validate(self._spec())

    @property
    def watch(self) -> Watch:
        """The judge."""
        return Watch(self.lab, self.cluster)

    @property
    def endpoints(self) -> list[str]:
        """Client URLs of all members."""
        port = self.cluster.ports.client
        return [f"https://{self.lab.host(name).address}:{port}" for name in self.hosts]

    def _spec(self) -> dict[str, Any]:
        lab = self.lab
        return {
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
            **self.settings,
        }

    def apply(self, *, version: str | None = None, **settings: Any) -> EtcdCluster:
        """Record the spec with other top-level keys, as `quoracy cluster apply` does; None drops one."""
        self.version = version or self.version
        for key, value in settings.items():
            self.settings.pop(key, None) if value is None else self.settings.update({key: value})
        cluster = self.cluster
        db = open_database(self.home.database_url)
        try:
            record_cluster(db, cluster)
        finally:
            db.close()
        return cluster

    def back(self) -> None:
        """Apply the spec that was deployed last again."""
        self.version, settings = self.deployed
        self.settings = dict(settings)
        self.apply()

    def plan(self, **wanted: Any) -> Plan:
        """What etcd-deploy would do."""
        with open_etcd_deploy(Wanted(self.name, **wanted), self.home) as deploy:
            return deploy.plan()

    def deploy(
        self, *, before_step: Callable[[Step, EtcdDeploy], None] | None = None, **wanted: Any
    ) -> Report:
        """Run etcd-deploy in this process; `before_step` is called right before each step acts."""
        with open_etcd_deploy(Wanted(self.name, **wanted), self.home) as deploy:
            if before_step is not None:
                carry_out, told = deploy.apply_step, before_step

                def apply_step(step: Step, site: Any) -> str:
                    told(step, deploy)
                    return carry_out(step, site)

                deploy.apply_step = apply_step
            report = deploy.run(deploy.plan(), ASKED)
            if report.outcome == "done":
                self.deployed = self.version, dict(self.settings)
            return report

    def deploy_killed(self, step: str, host: str, when: str) -> list[str]:
        """Run etcd-deploy in a child process that is killed by SIGKILL at a step.

        Returns:
            The steps that it began, as "host step".
        """
        child = self._child({"step": step, "host": host, "when": when})
        assert child.returncode == -9, (child.returncode, child.stdout, child.stderr)
        return child.stdout.splitlines()

    def deploy_elsewhere(self) -> str:
        """Run etcd-deploy in another process; what it printed: its steps and how it ended."""
        return self._child({}).stdout

    def _child(self, given: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            (sys.executable, str(CHILD)),
            input=json.dumps({"cluster": self.name, **given}),
            env={
                "QUORACY_HOME": str(self.home.path),
                "HOME": str(self.place),
                "PATH": "/usr/bin:/bin",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def shell(self, host: str, script: str) -> str:
        """Output of a script on a host, past SSH; fails when it exits non-zero."""
        return self.lab.shell(host, script).decode()

    def everywhere(self, script: str) -> dict[str, str]:
        """Output of a script on every host of the cluster, by host."""
        with ThreadPoolExecutor(len(self.hosts)) as threads:
            told = threads.map(lambda name: self.shell(name, script), self.hosts)
            return dict(zip(self.hosts, told, strict=True))

    def etcdctl(self, host: str, *words: str) -> Any:
        """The JSON answer of etcdctl run on a host against all members."""
        config = self.cluster.config_dir
        call = (
            f"{config}/current/release/etcdctl",
            f"--endpoints={','.join(self.endpoints)}",
            f"--cacert={config}/tls/ca.pem",
            f"--cert={config}/tls/client.pem",
            f"--key={config}/tls/client.key",
            "--write-out=json",
            *words,
        )
        return json.loads(self.shell(host, shlex.join(call)))

    def leader(self) -> str:
        """Host of the leader, as the members tell it."""
        statuses = self.etcdctl(self.hosts[0], "endpoint", "status")
        leaders = {entry["Status"]["leader"] for entry in statuses}
        assert len(leaders) == 1, statuses
        (leader,) = leaders
        by_endpoint = dict(zip(self.endpoints, self.hosts, strict=True))
        (name,) = (
            by_endpoint[entry["Endpoint"]]
            for entry in statuses
            if entry["Status"]["header"]["member_id"] == leader
        )
        return name

    def versions(self) -> dict[str, str]:
        """Version that each member runs, by host."""
        statuses = self.etcdctl(self.hosts[0], "endpoint", "status")
        by_endpoint = dict(zip(self.endpoints, self.hosts, strict=True))
        return {by_endpoint[e["Endpoint"]]: e["Status"]["version"] for e in statuses}

    def require_healthy(self) -> None:
        """All members serve linearizable reads, and are the hosts of the spec."""
        health = self.etcdctl(self.hosts[0], "endpoint", "health")
        assert len(health) == len(self.hosts), health
        assert all(entry["health"] for entry in health), health
        members = self.etcdctl(self.hosts[0], "member", "list")["members"]
        assert sorted(member["name"] for member in members) == sorted(self.hosts)

    def traces(self) -> Traces:
        """What a change would leave behind."""
        watch = self.watch
        return Traces(watch.files(), watch.restarts())

    def client(self) -> ClientFiles:
        """A client certificate of the cluster's CA, made beside the product's own."""
        authority = Authority.load(self.home.pki / self.name)
        leaf = authority.issue("client", "scenarios", [], datetime.now(UTC), timedelta(days=1))
        paths = [self.place / name for name in ("scenario-ca.pem", "scenario.pem", "scenario.key")]
        for path, content in zip(
            paths, (authority.cert_pem, leaf.cert_pem, leaf.key_pem), strict=True
        ):
            path.write_bytes(content)
        return ClientFiles(*map(str, paths))

    def pinned_id(self) -> str | None:
        """The cluster ID that the database remembers."""
        db = open_database(self.home.database_url)
        try:
            return get_cluster(db, self.name).cluster_id
        finally:
            db.close()

    def raze(self) -> None:
        """Take everything of the cluster off the hosts; releases of others stay."""
        cluster = self.cluster
        paths = (cluster.config_dir, cluster.data_dir, f"/var/lib/quoracy/{self.name}")
        self.everywhere(
            f"systemctl kill --signal=KILL {cluster.unit} 2>/dev/null; "
            f"systemctl disable --now {cluster.unit} 2>/dev/null; systemctl reset-failed {cluster.unit}"
            f" 2>/dev/null; rm -rf /etc/systemd/system/{cluster.unit} {shlex.join(paths)}"
            f" {cluster.data_dir}.aside-*; systemctl daemon-reload"
        )


def stored_files(directory: Path) -> dict[str, int]:
    """Modification time (nanoseconds) of every snapshot in a directory store, by path."""
    return {str(p): p.stat().st_mtime_ns for p in directory.rglob("*.db")}


def reasons(plan: Plan) -> set[str]:
    """Reasons of all verdicts that stop."""
    return {verdict.reason for verdict in plan.verdicts if verdict.stops}


def warnings(plan: Plan) -> set[str]:
    """Reasons of the verdicts that do not stop."""
    return {verdict.reason for verdict in plan.verdicts if not verdict.stops}


def advice(plan: Plan) -> str:
    """What the user is told to do next, of the verdicts that stop or warn."""
    return "\n".join(verdict.next_step for verdict in plan.verdicts if verdict.next_step)


def step_names(plan: Plan, host: str = "") -> list[str]:
    """The plan's steps in order, of one host when it is given."""
    return [step.name for _, step in plan.steps if host in ("", step.host)]


def members(plan: Plan) -> Sequence[str]:
    """The members that the plan works on one by one, in order."""
    return [group.member for group in plan.groups if group.member]
