"""Quorum arithmetic: may a voter be stopped, or started again, without losing quorum? Pure.

The invariant: a voter is taken down only when the voters that were *seen* healthy, without it, still
are a quorum. A member that could not be asked counts as down (etcd counts started voters the same
way: `IsReadyToRemoveVotingMember` in api/membership/cluster.go).
"""

from __future__ import annotations

from quoracy.etcd.facts_cluster import EtcdFacts
from quoracy.operation.verdict import Verdict, failed, passed, unknown


def quorum(voters: int) -> int:
    """How many of so many voters must be up: more than half."""
    return voters // 2 + 1


def voter_names(facts: EtcdFacts) -> frozenset[str]:
    """Names of the voters according to the members; never started ones by their peer URL."""
    return frozenset(
        entry.name or entry.peer_urls[0] for entry in facts.members or () if not entry.learner
    )


def quorate(facts: EtcdFacts) -> bool:
    """Whether enough voters serve linearizable reads."""
    voters = voter_names(facts)
    return len(facts.healthy & voters) >= quorum(max(1, len(voters)))


def check_can_stop(
    facts: EtcdFacts,
    host: str,
    *,
    allow_downtime: bool = False,
    healthy: frozenset[str] | None = None,
) -> Verdict:
    """Whether the member on `host` may be taken down.

    Args:
        allow_downtime: Permit it in a cluster of one or two, where quorum is lost while it is down.
        healthy: Who will be healthy then; by default those who are now.
    """
    healthy = facts.healthy if healthy is None else healthy
    voters = voter_names(facts)
    if not voters:
        return unknown(
            "MembersUnknown",
            "no member told who the members are, so nothing may be stopped",
            where=host,
            next_step="start the stopped members first: `quoracy status CLUSTER` shows them",
        )
    if host not in voters:
        return passed("NotAVoter", "it does not vote", where=host)
    others = healthy & voters - {host}
    needed = quorum(len(voters))
    counted = f"{len(others)} of {len(voters)} voters would be healthy, {needed} are needed"
    if len(others) >= needed and facts.has_leader:
        return passed("Quorate", counted, where=host)
    if len(voters) <= 2 and allow_downtime and others == voters - {host}:
        return passed("DowntimeAllowed", f"{counted}; downtime was allowed", where=host)
    if len(voters) <= 2 and others == voters - {host}:
        return failed(
            "DowntimeNeeded",
            f"a cluster of {len(voters)} is not available while a member restarts",
            where=host,
            next_step="add --allow-downtime when clients may wait, or grow the cluster first",
        )
    missing = ", ".join(sorted(voters - healthy)) or "the leader"
    return failed(
        "QuorumWouldBeLost",
        f"stopping it would lose quorum: {counted}; not healthy: {missing}",
        where=host,
        next_step="bring the other members back first",
    )
