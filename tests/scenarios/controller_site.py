"""What the two worlds of the scenarios have in common: a controller of its own, and one cluster.

`scenario_site.Site` is it with real hosts, `simulator.site.SimulatedSite` with simulated ones.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from quoracy.db.clusters import get_cluster
from quoracy.db.session import open_database
from quoracy.etcd.deploy import EtcdDeploy, Wanted, open_etcd_deploy
from quoracy.etcd.record import record_cluster
from quoracy.etcd.spec import EtcdCluster
from quoracy.home import Home, load_home
from quoracy.operation.lease import Asked, Report
from quoracy.operation.plan import Plan
from quoracy.operation.step import Step

ASKED = Asked(by="tester", origin="terminal on scenarios")
OLD, MIDDLE, NEW = "3.4.23", "3.5.16", "3.5.30"


@dataclass(slots=True, kw_only=True)
class ControllerSite(ABC):
    """A cluster, and a controller of its own (home and SQLite database).

    Args:
        place: Directory of the controller; made when missing.
        hosts: Names of the hosts that the spec names.
    """

    place: Path
    name: str
    hosts: tuple[str, ...]
    version: str = OLD
    settings: dict[str, Any] = field(default_factory=dict)
    deployed: tuple[str, dict[str, Any]] = ("", {})

    # ------------------------------------------------------------------ what a world must tell

    @abstractmethod
    def world_spec(self) -> dict[str, Any]:
        """The parts of the spec that depend on the world: ssh, hosts, release."""

    @abstractmethod
    def host_entry(self, number: int) -> dict[str, str]:
        """Name and address, as a spec has them, of the world's host with this number (from 1)."""

    @abstractmethod
    def another_controller(self, place: Path) -> Self:
        """A controller with a database of its own, which knows the same cluster and CA."""

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Version that each member runs, by host."""

    @abstractmethod
    def leader(self) -> str:
        """Host of the leader."""

    @abstractmethod
    def require_healthy(self) -> None:
        """All members serve linearizable reads, and are the hosts of the spec."""

    @abstractmethod
    def starts(self) -> dict[str, object]:
        """What tells one start of each member from another, by host."""

    @abstractmethod
    def traces(self) -> object:
        """What a change would leave behind; equal before and after means: nothing was touched."""

    @abstractmethod
    def current(self) -> dict[str, str]:
        """What link and unit follow, by host."""

    @abstractmethod
    def stop(self, *hosts: str) -> None:
        """Stop members, as somebody on the host would."""

    @abstractmethod
    def kill(self, host: str) -> None:
        """Kill the process of a member."""

    @abstractmethod
    def break_release(self, host: str, version: str) -> None:
        """Make the release's binary on a host end at once."""

    @abstractmethod
    def mend_release(self, host: str, version: str) -> None:
        """Undo of `break_release`."""

    @abstractmethod
    def raze(self) -> None:
        """Take everything of the cluster off the hosts."""

    @abstractmethod
    def deploy_killed(self, step: str, host: str, when: str) -> list[str]:
        """Run etcd-deploy in a process that is killed by SIGKILL at a step; the steps it began."""

    @abstractmethod
    def deploy_elsewhere(self) -> str:
        """Run etcd-deploy in another process; what it printed: its steps and how it ended."""

    @abstractmethod
    def watched(self, *, load: bool = False) -> AbstractContextManager[RollWatch]:
        """Watch a roll from outside; with `load`, clients write meanwhile where they can."""

    # ------------------------------------------------------------------ the controller

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

    def _spec(self) -> dict[str, Any]:
        return {
            "kind": "etcd",
            "name": self.name,
            "version": self.version,
            **self.world_spec(),
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

    @contextmanager
    def opened(self, wanted: Wanted) -> Iterator[EtcdDeploy]:
        """An etcd-deploy that works with the hosts of this world."""
        with open_etcd_deploy(wanted, self.home) as deploy:
            yield deploy

    def plan(self, **wanted: Any) -> Plan:
        """What etcd-deploy would do."""
        with self.opened(Wanted(self.name, **wanted)) as deploy:
            return deploy.plan()

    def deploy(
        self,
        *,
        before_step: Callable[[Step, EtcdDeploy], None] | None = None,
        around_step: Callable[[Step, str], None] | None = None,
        **wanted: Any,
    ) -> Report:
        """Run etcd-deploy in this process.

        Args:
            before_step: Called right before each step acts.
            around_step: Called with "before" and "after" around each step.
        """
        with self.opened(Wanted(self.name, **wanted)) as deploy:
            carry_out = deploy.apply_step

            def apply_step(step: Step, site: Any) -> str:
                if before_step is not None:
                    before_step(step, deploy)
                if around_step is not None:
                    around_step(step, "before")
                told = carry_out(step, site)
                if around_step is not None:
                    around_step(step, "after")
                return told

            deploy.apply_step = apply_step
            report = deploy.run(deploy.plan(), ASKED)
            if report.outcome == "done" and report.plan.kind != "start":
                self.deployed = self.version, dict(self.settings)
            return report

    def pinned_id(self) -> str | None:
        """The cluster ID that the database remembers."""
        db = open_database(self.home.database_url)
        try:
            return get_cluster(db, self.name).cluster_id
        finally:
            db.close()


class RollWatch(ABC):
    """What was seen of a roll from outside, once its block has ended."""

    @abstractmethod
    def order(self) -> list[str]:
        """Hosts whose members were down, in the order in which they went; each once per time."""

    @abstractmethod
    def require_one_at_a_time(self) -> None:
        """No two members were down at once, and leadership moved at most once."""

    @abstractmethod
    def require_backup_first(self, stored_ns: int) -> None:
        """The snapshot that was stored at this time was there before the first member went down."""

    @abstractmethod
    def require_nothing_lost(self) -> None:
        """Nothing that a client was told is written is gone, where clients wrote."""
