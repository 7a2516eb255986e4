"""A cluster of the scenarios in the simulated world: everything is real but the hosts.

The spec, the database, the lease, the journal, the loop, the plan, the store and the scripts are the
product's. The hosts are `SimulatedHosts`: they answer for the guard, and a step changes their state
(`simulator.steps`) once its script has passed the guard.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from quoracy.db.clusters import pin_cluster_id
from quoracy.errors import CommandFailed, Refused
from quoracy.etcd.apply import apply_etcd_step
from quoracy.etcd.certificates import host_files
from quoracy.etcd.deploy import EtcdDeploy, Wanted
from quoracy.etcd.facts_cluster import EtcdFacts
from quoracy.etcd.site import EtcdSite
from quoracy.etcd.spec import EtcdCluster
from quoracy.hosts.pool import HostPool
from quoracy.hosts.targets import ssh_targets
from quoracy.operation.step import Step
from tests.etcd_factories import absent, machine
from tests.scenarios.controller_site import ControllerSite
from tests.simulator.controllers import controllers
from tests.simulator.facts import facts
from tests.simulator.hosts import SimulatedHosts, without_backups
from tests.simulator.steps import apply
from tests.simulator.watch import SimulatedWatch
from tests.simulator.world import Setting, SimHost, Spoiled, Stuck, Violation

# Side by side, one member waits until the others have been started.
OTHERS_START_WITHIN_S = 10.0


@dataclass(slots=True, kw_only=True)
class SimulatedSite(ControllerSite):
    """A cluster on simulated hosts.

    Args:
        world: File of the hosts; two controllers of the same cluster share it.
        archives: Directory of releases; see `simulator.archives`.
    """

    world: Path
    archives: Path

    @property
    def simulated(self) -> SimulatedHosts:
        """The hosts."""
        return SimulatedHosts(self.world)

    def world_spec(self) -> dict[str, Any]:
        hosts = [self.host_entry(int(name.rpartition("-")[2])) for name in self.hosts]
        return {"hosts": hosts, "release": {"directory": str(self.archives)}}

    def host_entry(self, number: int) -> dict[str, str]:
        return {"name": f"sim-{number}", "address": f"198.51.100.{10 + number}"}

    def another_controller(self, place: Path) -> SimulatedSite:
        other = replace(self, place=place, settings=dict(self.settings))
        shutil.copytree(self.home.pki, other.home.pki)
        return other

    def apply(self, *, version: str | None = None, **settings: Any) -> EtcdCluster:
        cluster = ControllerSite.apply(self, version=version, **settings)
        if not self.simulated.exist:
            self.simulated.begin(Setting(cluster))
        return cluster

    @contextmanager
    def opened(self, wanted: Wanted) -> Iterator[EtcdDeploy]:
        with ControllerSite.opened(self, wanted) as deploy:
            targets = ssh_targets(deploy.cluster, default_known_hosts="/none")
            deploy.pool = HostPool(targets, self.simulated.connect)
            deploy.ask_hosts = deploy.ask_within_step = self._ask
            deploy.apply_step = self._take
            yield deploy

    # ------------------------------------------------------------------ what the hosts do

    def _ask(self, cluster: EtcdCluster, _pool: HostPool) -> EtcdFacts:
        state, now = self.simulated.look(), datetime.now(UTC)
        known = facts(state.setting, state.world, now=now, guards=state.fences)
        bare = absent(host=machine(clock_s=now.timestamp()))
        return replace(
            known, hosts={host.name: known.hosts.get(host.name, bare) for host in cluster.hosts}
        )

    def _take(self, step: Step, site: EtcdSite) -> str:
        """Pass the guard with the real script, and let the world follow."""
        if step.name == "pin-cluster":
            self._advance(step, site)
            pin_cluster_id(site.db, self.name, self._cluster_id(), now=datetime.now(UTC))
            return ""
        if step.name == "await-member":
            self._let_others_start(step)
            self._advance(step, site)
            return ""
        told = apply_etcd_step(step, site)
        self._advance(step, site)
        return told

    def _cluster_id(self) -> str:
        (cluster_id,) = {host.log for host in self.simulated.look().world.hosts}
        return cluster_id

    def _advance(self, step: Step, site: EtcdSite) -> None:
        with self.simulated.change() as state:
            state.setting.cluster = site.cluster
            if step.name == "write-certificates":
                index, now = state.setting.index(step.host), datetime.now(UTC)
                made = host_files(site.cluster, site.cluster.host(step.host), site.home, now)
                state.setting.certificates[index, "made"] = made
            if state.operation != site.stamp:
                state.operation, state.world = site.stamp, without_backups(state.world)
            try:
                state.become(apply(state.setting, state.world, step))
            except Violation as violation:
                state.broken_laws.append(str(violation))
                raise
            except Spoiled as spoiled:
                raise Refused(str(spoiled), where=step.host) from spoiled
            except Stuck as stuck:
                self._failed(state, step)
                raise CommandFailed(
                    step.title, where=step.host, exit_code_remote=1, stderr=str(stuck)
                ) from stuck

    def _failed(self, state: Any, step: Step) -> None:
        """systemd gives up on a member that does not come up."""
        if step.name in ("start-member", "form-member"):
            index = state.setting.index(step.host)
            host = state.world.hosts[index]
            state.become(state.world.put(index, replace(host, failed=True)))

    def _let_others_start(self, step: Step) -> None:
        deadline = time.monotonic() + OTHERS_START_WITHIN_S
        while time.monotonic() < deadline:
            state = self.simulated.look()
            index = state.setting.index(step.host)
            if index in state.world.healthy or not state.world.hosts[index].up:
                return
            time.sleep(0.005)

    # ------------------------------------------------------------------ what is seen of them

    def _running(self) -> dict[str, tuple[int, SimHost]]:
        hosts = self.simulated.look().world.hosts
        return {
            name: (i, host) for i, (name, host) in enumerate(zip(self.hosts, hosts, strict=True))
        }

    def versions(self) -> dict[str, str]:
        setting = self.simulated.look().setting
        return {n: setting.version(i, h.runs) for n, (i, h) in self._running().items() if h.up}

    def leader(self) -> str:
        leader = self.simulated.look().world.leader
        assert leader is not None
        return self.hosts[leader]

    def require_healthy(self) -> None:
        world = self.simulated.look().world
        assert world.healthy == frozenset(range(len(self.hosts))), str(world)
        assert self.simulated.look().broken_laws == []

    def starts(self) -> dict[str, object]:
        starts = self.simulated.look().starts
        return {name: starts.get(name, 0) for name in self.hosts}

    def traces(self) -> object:
        state = self.simulated.look()
        return state.world.hosts, dict(state.starts), dict(state.fences)

    def current(self) -> dict[str, str]:
        return {name: host.current for name, (_, host) in self._running().items()}

    # ------------------------------------------------------------------ what happens to them

    def _alter(self, host: str, **changes: Any) -> None:
        with self.simulated.change() as state:
            index = state.setting.index(host)
            state.become(state.world.put(index, replace(state.world.hosts[index], **changes)))

    def stop(self, *hosts: str) -> None:
        for host in hosts:
            self._alter(host, runs="")

    def kill(self, host: str) -> None:
        self._alter(host, runs="", failed=True)

    def break_release(self, host: str, version: str) -> None:
        self._alter(host, broken=frozenset({version}))

    def mend_release(self, host: str, version: str) -> None:
        self._alter(host, broken=frozenset())

    def raze(self) -> None:
        if self.simulated.exist:
            self.simulated.begin(Setting(self.cluster))

    @contextmanager
    def watched(self, *, load: bool = False) -> Iterator[SimulatedWatch]:
        watch, since = SimulatedWatch(), len(self.simulated.look().events)
        yield watch
        watch.seen = self.simulated.look().events[since:]

    def deploy_killed(self, step: str, host: str, when: str) -> list[str]:
        status, said = controllers().deploy(
            self._given(), {"step": step, "host": host, "when": when}
        )
        assert status == -9, (status, said)
        return said.splitlines()

    def deploy_elsewhere(self) -> str:
        return controllers().deploy(self._given(), {})[1]

    def _given(self) -> dict[str, Any]:
        return {
            "place": str(self.place),
            "name": self.name,
            "hosts": self.hosts,
            "version": self.version,
            "world": str(self.world),
            "archives": str(self.archives),
        }
