"""One cluster of the scenarios on real hosts: asked for through the library loop, judged from outside of it."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lab.lab import Lab
from quoracy.pki.authority import Authority
from tests.judges.gateway import ClientFiles
from tests.judges.watch import File, Process, Watch
from tests.judges.writer import Writer
from tests.scenarios.controller_site import ASKED, MIDDLE, NEW, OLD, ControllerSite
from tests.scenarios.plan_reading import (
    advice,
    members,
    reasons,
    step_names,
    stored_files,
    warnings,
)
from tests.scenarios.real_watch import RealWatch

__all__ = [
    "ASKED",
    "MIDDLE",
    "NEW",
    "OLD",
    "Site",
    "advice",
    "members",
    "reasons",
    "step_names",
    "stored_files",
    "warnings",
]
CHILD = Path(__file__).with_name("deploy_process.py")


@dataclass(frozen=True, slots=True)
class Traces:
    """What a touched cluster would show: files by path, and the members' processes, by host."""

    files: Mapping[str, Mapping[str, File]]
    processes: Mapping[str, Process]


class Site(ControllerSite):
    """A cluster on hosts of the lab."""

    def __init__(
        self,
        lab: Lab,
        place: Path,
        name: str,
        hosts: tuple[str, ...],
        settings: dict[str, Any] | None = None,
    ) -> None:
        ControllerSite.__init__(self, place=place, name=name, hosts=hosts, settings=settings or {})
        self.lab = lab

    @property
    def watch(self) -> Watch:
        """The judge."""
        return Watch(self.lab, self.cluster)

    @property
    def endpoints(self) -> list[str]:
        """Client URLs of all members."""
        port = self.cluster.ports.client
        return [f"https://{self.lab.host(name).address}:{port}" for name in self.hosts]

    def world_spec(self) -> dict[str, Any]:
        lab = self.lab
        return {
            "ssh": {
                "user": "root",
                "key_file": str(lab.key_file),
                "known_hosts": str(lab.known_hosts),
            },
            "hosts": [{"name": name, "address": lab.host(name).address} for name in self.hosts],
            "release": {"directory": str(lab.archives)},
        }

    def host_entry(self, number: int) -> dict[str, str]:
        host = self.lab.hosts[number - 1]
        return {"name": host.name, "address": host.address}

    def another_controller(self, place: Path) -> Site:
        other = Site(self.lab, place, self.name, self.hosts, settings=dict(self.settings))
        shutil.copytree(self.home.pki, other.home.pki)
        return other

    def deploy_killed(self, step: str, host: str, when: str) -> list[str]:
        """Run etcd-deploy in a child process that is killed `before`, `during` or `after` a step."""
        child = self._child({"step": step, "host": host, "when": when})
        assert child.returncode == -9, (child.returncode, child.stdout, child.stderr)
        return child.stdout.splitlines()

    def deploy_elsewhere(self) -> str:
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

    # ------------------------------------------------------------------ past the product

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
        statuses = self.etcdctl(self.hosts[0], "endpoint", "status")
        by_endpoint = dict(zip(self.endpoints, self.hosts, strict=True))
        return {by_endpoint[e["Endpoint"]]: e["Status"]["version"] for e in statuses}

    def require_healthy(self) -> None:
        health = self.etcdctl(self.hosts[0], "endpoint", "health")
        assert len(health) == len(self.hosts), health
        assert all(entry["health"] for entry in health), health
        members = self.etcdctl(self.hosts[0], "member", "list")["members"]
        assert sorted(member["name"] for member in members) == sorted(self.hosts)

    def starts(self) -> dict[str, object]:
        return dict(self.watch.restarts())

    def traces(self) -> Traces:
        watch = self.watch
        return Traces(watch.files(), watch.restarts())

    def current(self) -> dict[str, str]:
        unit = f"/etc/systemd/system/{self.cluster.unit}"
        return self.everywhere(f"readlink {self.cluster.config_dir}/current; sha256sum < {unit}")

    @contextmanager
    def watched(self, *, load: bool = False) -> Iterator[RealWatch]:
        watch = RealWatch(self.watch, self.watch.now_us())
        if load:
            with Writer(self.endpoints, self.client(), rate=100.0) as writer:
                yield watch
                watch.written = writer.stop()
                watch.lost = writer.lost_writes(watch.written)
        else:
            yield watch

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

    # ------------------------------------------------------------------ what happens to the hosts

    def stop(self, *hosts: str) -> None:
        for host in hosts:
            self.shell(host, f"systemctl stop {self.cluster.unit}")

    def kill(self, host: str) -> None:
        self.shell(host, f"kill -KILL $(systemctl show -P MainPID {self.cluster.unit})")

    def break_release(self, host: str, version: str) -> None:
        binary = f"{self.cluster.release_dir(version)}/etcd"
        self.shell(host, f"cp -a {binary} {binary}.kept && printf '#!/bin/false\\n' > {binary}")

    def mend_release(self, host: str, version: str) -> None:
        binary = f"{self.cluster.release_dir(version)}/etcd"
        self.shell(host, f"mv -f {binary}.kept {binary}")

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
