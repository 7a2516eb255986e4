"""What the hosts together say about one etcd cluster; derived from the facts of each host, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from quoracy.etcd.facts import EtcdHostFacts, MemberEntry, StatusFacts
from quoracy.etcd.facts_alarms import Alarm
from quoracy.hosts.machine import Answers, HostSilent

Presence = Literal["silent", "absent", "bootstrapping", "present", "forgotten", "foreign"]


@dataclass(frozen=True, slots=True)
class EtcdFacts(Answers[EtcdHostFacts]):
    """All hosts of one cluster, in the spec's order.

    Attributes:
        asked_at: When the first was asked, by the controller's clock (UTC).
        took_s: Seconds until the last had answered; clocks cannot be compared more exactly.
    """

    asked_at: datetime
    took_s: float = 0.0

    @property
    def statuses(self) -> dict[str, StatusFacts]:
        """What members say about themselves, by host; members that did not answer are left out."""
        return {n: f.status for n, f in self.heard.items() if f.status is not None}

    @property
    def members(self) -> tuple[MemberEntry, ...] | None:
        """The member list of the member that has applied most; None when no member answered."""
        lists = [
            (facts.status.applied_index if facts.status else 0, facts.members)
            for facts in self.heard.values()
            if facts.members is not None
        ]
        return max(lists, key=lambda item: item[0])[1] if lists else None

    @property
    def leader(self) -> str | None:
        """Host of the leader that the healthy members agree on; None when there is none."""
        leaders = self._leader_ids
        for name, status in self.statuses.items():
            if leaders == {status.member_id}:
                return name
        return None

    @property
    def has_leader(self) -> bool:
        """Whether all healthy members name the same leader."""
        return len(self._leader_ids) == 1 and None not in self._leader_ids

    @property
    def _leader_ids(self) -> frozenset[str | None]:
        # A member that is cut off names no leader, or a past one; it serves no linearizable read.
        told = self.statuses
        return frozenset(told[name].leader_id for name in self.healthy if name in told)

    @property
    def cluster_ids(self) -> frozenset[str]:
        """IDs of the clusters that the members say they belong to: one, when all is well."""
        return frozenset(status.cluster_id for status in self.statuses.values())

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """All active alarms; every member that answers tells those of the whole cluster."""
        return tuple(sorted({a for status in self.statuses.values() for a in status.alarms}))

    @property
    def revision(self) -> int:
        """The highest revision that any member has told; 0 when none answered."""
        return max((status.revision for status in self.statuses.values()), default=0)

    @property
    def clocks_off(self) -> dict[str, float]:
        """Seconds that each host's clock is off the controller's at least."""
        asked = self.asked_at.timestamp()
        return {
            name: max(0.0, asked - facts.host.clock_s, facts.host.clock_s - asked - self.took_s)
            for name, facts in self.heard.items()
        }

    @property
    def healthy(self) -> frozenset[str]:
        """Hosts whose member just served a linearizable read."""
        return frozenset(name for name, facts in self.heard.items() if facts.healthy)


def presence(facts: EtcdHostFacts | HostSilent) -> Presence:
    """Which state of life the member on this host is in.

    absent: nothing of it is there. bootstrapping: a create is under way or was interrupted.
    present: data that belongs here. forgotten: set up, but its log is gone. foreign: data of
    another cluster, or data that nothing here accounts for.
    """
    if isinstance(facts, HostSilent):
        return "silent"
    served = facts.formed or facts.data_cluster_id or facts.config_cluster_id
    if facts.bootstrap is not None:
        return "forgotten" if served and not facts.has_log else "bootstrapping"
    if facts.config_cluster_id is None:
        # Whatever lies there would be used by the first start, log or not: nothing is ours yet.
        if facts.has_log or facts.data_cluster_id or facts.old_data:
            return "foreign"
        return "forgotten" if facts.formed else "absent"
    if not facts.has_log:
        return "forgotten"
    return "present" if facts.data_cluster_id == facts.config_cluster_id else "foreign"
