"""One cluster in one state: what its hosts carry, who leads, who could serve. Hashable, so it can be kept.

It is the judge of the laws as well (`simulator.steps`), so it imports neither plan nor checks: what
is quorate is counted here anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from quoracy.etcd.spec import EtcdCluster
from quoracy.etcd.templates import Generation, render_generation


class Violation(Exception):
    """A law was broken."""


class Stuck(Exception):
    """A step could not do what it is for."""


class Spoiled(Stuck):
    """The host refused a step, before it did anything: what was to come into use is not what was planned."""


@dataclass(frozen=True, slots=True)
class SimHost:
    """What one host carries of the cluster. Generations, certificates and clusters are labels.

    Attributes:
        role: What the members' list says of it: "voter", "learner", or "unstarted" (added, without
            a name yet).
        releases: Versions that are installed.
        staged: Generations that lie on disk.
        spoiled: Those of them whose files were edited there.
        current: The generation that link and unit follow; empty for none.
        certificates: Which certificates lie there; empty for none.
        bootstrap: The keys of the first start; empty when there are none.
        formed: The member has served in a create that is not finished yet.
        config_id: Cluster ID that marks the configuration.
        data_id: Cluster ID that marks the data.
        log: ID of the cluster whose log lies there; empty for none.
        old_data: What lay in the data directory before a first start there; empty for nothing.
        stranger: What somebody else keeps in the data directory; empty for nothing.
        written: Changes that only this member has made: with them its data is another than the others'.
        runs: The generation that the process was started with; empty without a process.
        failed: systemd has given up on it.
        enabled: It starts again after a power cut.
        cut: The other members cannot be reached from it.
        broken: Versions whose binary does not start here.
    """

    role: str = "voter"
    releases: frozenset[str] = frozenset()
    staged: frozenset[str] = frozenset()
    spoiled: frozenset[str] = frozenset()
    current: str = ""
    certificates: str = ""
    bootstrap: str = ""
    formed: bool = False
    config_id: str = ""
    data_id: str = ""
    log: str = ""
    old_data: str = ""
    stranger: str = ""
    written: int = 0
    runs: str = ""
    failed: bool = False
    enabled: bool = False
    cut: bool = False
    broken: frozenset[str] = frozenset()

    def __str__(self) -> str:
        """What is not as in a plain member."""
        told = [self.role, f"follows {self.current or 'nothing'}", f"runs {self.runs or 'nothing'}"]
        told += [
            f"staged {' '.join(sorted(self.staged))}",
            f"has {' '.join(sorted(self.releases))}",
        ]
        told += [f"spoiled {label}" for label in sorted(self.spoiled)]
        told += [word for word in ("failed", "cut", "bootstrap") if getattr(self, word)]
        return ", ".join(told if self.enabled else [*told, "disabled"])

    @property
    def up(self) -> bool:
        """Whether a process runs."""
        return bool(self.runs)

    @property
    def order(self) -> tuple[str, ...]:
        """Sorts hosts, so that worlds that differ only in the hosts' names are one."""
        return tuple(
            str(sorted(value) if isinstance(value, frozenset) else value)
            for value in (getattr(self, name) for name in self.__slots__)
        )


@dataclass(frozen=True, slots=True)
class World:
    """A cluster in one state.

    Attributes:
        leader: Place of the leader among the hosts; None when there is none.
        backups: Snapshots that the operation under way has taken.
        alarms: Kinds of the alarms that are active; every member raises them.
    """

    hosts: tuple[SimHost, ...]
    leader: int | None = None
    backups: int = 0
    alarms: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"leader {self.leader}, {self.backups} backups: " + " | ".join(map(str, self.hosts))

    @property
    def voters(self) -> frozenset[int]:
        """Who counts; one that was added and never started does."""
        return frozenset(i for i, host in enumerate(self.hosts) if host.role != "learner")

    @property
    def needed(self) -> int:
        """How many voters must be up."""
        return len(self.voters) // 2 + 1

    @property
    def healthy(self) -> frozenset[int]:
        """Voters that serve linearizable reads: all that reach each other, when they are enough."""
        reachable = frozenset(
            i
            for i, host in enumerate(self.hosts)
            if host.up and host.role == "voter" and not host.cut
        )
        return reachable if len(reachable) >= self.needed else frozenset()

    @property
    def quorate(self) -> bool:
        """Whether it serves."""
        return bool(self.healthy)

    def elect(self) -> World:
        """After an election, when the leader is gone: the highest healthy member wins."""
        if self.leader in self.healthy:
            return self
        return replace(self, leader=max(self.healthy, default=None))

    def leaders(self) -> Iterable[World]:
        """The same world with each leader that makes a difference; itself when there can be none."""
        different = {self.hosts[i]: i for i in sorted(self.healthy)}.values()
        return [replace(self, leader=leader) for leader in different or [None]]

    def put(self, index: int, host: SimHost) -> World:
        """The world with another state of one host, and the election that may follow."""
        hosts = (*self.hosts[:index], host, *self.hosts[index + 1 :])
        return replace(self, hosts=hosts).elect()

    def sorted(self, *, reverse: bool = False) -> World:
        """The one of all worlds that differ only in the order of the hosts."""
        places = sorted(
            range(len(self.hosts)),
            key=lambda i: (self.hosts[i].order, i == self.leader),
            reverse=reverse,
        )
        leader = None if self.leader is None else places.index(self.leader)
        return replace(self, hosts=tuple(self.hosts[i] for i in places), leader=leader)


@dataclass(slots=True, eq=False)
class Setting:
    """What the world is about: who the hosts are, and what the labels stand for.

    Attributes:
        cluster: The spec, for names, addresses and directories.
        generations: By place of the host and label.
        certificates: Contents of a tls directory by place of the host and label.
        downtime: Stopping a member of a cluster of one or two was allowed.
        larger_quota: What is wanted has a larger quota than what runs.
    """

    cluster: EtcdCluster
    generations: dict[tuple[int, str], Generation] = field(default_factory=dict)
    certificates: dict[tuple[int, str], dict[str, bytes]] = field(default_factory=dict)
    downtime: bool = False
    larger_quota: bool = False

    def index(self, host: str) -> int:
        """The place of a host."""
        return [one.name for one in self.cluster.hosts].index(host)

    def know(self, label: str, cluster: EtcdCluster) -> None:
        """Give the generations of a spec a label."""
        for index, host in enumerate(cluster.hosts):
            self.generations[index, label] = render_generation(cluster, host)

    def label(self, index: int, identity: str) -> str:
        """The label of a generation; a generation that nobody has a label for is its own."""
        for (place, label), generation in self.generations.items():
            if place == index and generation.identity == identity:
                return label
        return identity

    def version(self, index: int, label: str) -> str:
        """The release of a generation."""
        return self.generations[index, label].version
