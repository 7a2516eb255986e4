"""Ask members for what tells their data apart; changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from quoracy.aside import pause
from quoracy.errors import QuoracyError
from quoracy.etcd.checks_same_data import check_hashes, check_revisions
from quoracy.etcd.facts import StatusFacts
from quoracy.etcd.facts_cluster import EtcdFacts
from quoracy.etcd.facts_data import (
    HashFacts,
    hash_questions,
    parse_hash,
    parse_revision,
    revision_questions,
)
from quoracy.etcd.spec import EtcdCluster
from quoracy.hosts.host import Host
from quoracy.hosts.looks import ask
from quoracy.hosts.pool import HostPool
from quoracy.hosts.question import ask_all, parse_answers
from quoracy.operation.verdict import Status, Verdict, passed

TRIES, PAUSE_S = 5, 0.5
_SLOWEST = 2 * 1024**2  # bytes a second; below that a disk or network is broken rather than slow


def seconds_to_read(db_bytes: int) -> int:
    """Seconds that reading a whole database may take: a minute, and more for a large one."""
    return 60 + db_bytes // _SLOWEST


def compare_data(
    cluster: EtcdCluster,
    pool: HostPool,
    look: Callable[[], EtcdFacts],
    *,
    everyone: bool = False,
) -> Verdict:
    """Compare the members that serve reads by their hashes at the highest revision that one was at.

    A compaction between two answers makes them incomparable: then all are asked again, a few times.

    Args:
        everyone: Whether a member that serves no reads makes the result unknown.
    """
    for left in reversed(range(TRIES)):
        facts = look()
        verdict = _compare_once(cluster, pool, facts, everyone=everyone)
        if verdict.status is not Status.UNKNOWN or not facts.healthy or not left:
            break
        pause(PAUSE_S)
    return verdict


def compare_revisions(cluster: EtcdCluster, pool: HostPool, facts: EtcdFacts) -> Verdict:
    """Compare the revisions of one look; only where they differ the members are asked once more.

    Under load they differ all the time, as no two members are asked at the same moment.
    """
    first = {name: status.revision for name, status in facts.statuses.items()}
    if len(set(first.values())) < 2:
        return passed("RevisionsFit", "all members told the same revision")
    serving, left_out = _serving(facts)

    question = ask_all(revision_questions(cluster))

    def revision(host: Host) -> int | None:
        return ask(
            host,
            question,
            lambda output: parse_revision(parse_answers(output)),
            what="ask for the revision",
        )

    answers = pool.each(revision, serving)
    then = {n: None if isinstance(one, QuoracyError) else one for n, one in answers.items()}
    return check_revisions(cluster.name, first, then, left_out)


def _serving(facts: EtcdFacts) -> tuple[dict[str, StatusFacts], list[str]]:
    """Members that serve reads, and the hosts whose member does not: what it holds may be old."""
    serving = {name: one for name, one in facts.statuses.items() if name in facts.healthy}
    return serving, [name for name in facts.hosts if name not in serving]


def _compare_once(
    cluster: EtcdCluster, pool: HostPool, facts: EtcdFacts, *, everyone: bool
) -> Verdict:
    serving, left_out = _serving(facts)
    if len(serving) == 1 == len(facts.hosts):
        return passed("SameData", f"{cluster.name} has one member")
    # First, or what a member holds beyond the others would not be seen: all have reached the highest.
    reached = compare_revisions(cluster, pool, facts)
    if reached.stops:
        return reached
    revision = max((one.revision for one in serving.values()), default=0)
    sizes = {name: one.db_bytes for name, one in serving.items()}
    told = _hashes(cluster, pool, revision, sizes)
    if everyone:
        told, left_out = {**dict.fromkeys(left_out), **told}, []
    return check_hashes(cluster.name, revision, told, left_out)


def _hashes(
    cluster: EtcdCluster, pool: HostPool, revision: int, sizes: Mapping[str, int]
) -> dict[str, HashFacts | None]:
    """One after the other: a member commits nothing to its disk while it hashes."""

    def hashed(limit: int, host: Host) -> HashFacts | None:
        question = ask_all(hash_questions(cluster, revision, limit))
        return ask(
            host,
            question,
            lambda output: parse_hash(parse_answers(output)),
            what="ask for the hash",
            timeout=limit + 10.0,
        )

    found: dict[str, HashFacts | None] = {}
    for name, size in sizes.items():
        answer = pool.each(partial(hashed, seconds_to_read(size)), [name])[name]
        found[name] = None if isinstance(answer, QuoracyError) else answer
    return found
