"""Whether the members of a cluster hold the same data. Pure.

etcd itself does not notice members that were started over different data: they agree on each new
change and apply it to something else. Two things prove it: different hashes over all keys up to one
revision at one compaction, and a member that answers a linearizable read at a lower revision than
another one had told before the read began (such a read waits until all is applied that was committed
when it was asked).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from quoracy.etcd.facts_data import HashFacts
from quoracy.operation.verdict import Verdict, failed, passed, unknown


def check_hashes(
    cluster: str, revision: int, told: Mapping[str, HashFacts | None], left_out: Iterable[str]
) -> Verdict:
    """Compare hashes that were asked for at one revision.

    Args:
        told: By member; None where there was no answer.
        left_out: Members that serve no reads: what they hold may be old, and is not compared.
    """
    without = _not_compared(left_out)
    answers = {name: one for name, one in told.items() if one is not None}
    if not answers or len(answers) < len(told):
        silent = ", ".join(name for name, one in told.items() if one is None)
        why = (
            f"{silent} gave no hash at revision {revision}" if silent else "no member serves reads"
        )
        return _not_known(cluster, f"{why}{without}")
    if len({one.compacted for one in answers.values()}) > 1:
        at = ", ".join(f"{name} at {one.compacted}" for name, one in answers.items())
        return _not_known(cluster, f"they are compacted at different revisions: {at}{without}")
    if len({one.hash for one in answers.values()}) > 1:
        hashes = ", ".join(f"{name} {one.hash:08x}" for name, one in answers.items())
        return _diverged(
            f"the members hold different data: at revision {revision} their hashes are {hashes}{without}"
        )
    names = ", ".join(answers)
    return passed("SameData", f"{names} hold the same data at revision {revision}{without}")


def check_revisions(
    cluster: str,
    first: Mapping[str, int],
    then: Mapping[str, int | None],
    left_out: Iterable[str],
) -> Verdict:
    """Compare what members told with what they answered to reads that began afterwards.

    Args:
        first: Revision by member, each told before the first read began.
        then: Revision at which it answered the read, by member that served reads before; None where
            it did not.
        left_out: Members that serve no reads.
    """
    without = _not_compared(left_out)
    ahead = max(first, key=lambda name: first[name])
    behind = {n: one for n, one in then.items() if one is not None and one < first[ahead]}
    if behind:
        them = ", ".join(f"{name} at revision {one}" for name, one in behind.items())
        return _diverged(
            f"the members hold different data: {ahead} was at revision {first[ahead]}, and later "
            f"linearizable reads were answered by {them}{without}"
        )
    silent = ", ".join(name for name, one in then.items() if one is None)
    if silent:
        return _not_known(cluster, f"{silent} did not answer a read{without}")
    return passed("RevisionsFit", f"no member is behind what another one told{without}")


def _diverged(message: str) -> Verdict:
    return failed(
        "Diverged",
        message,
        next_step="find out which members hold the right data, and copy it before anything else; "
        "replacing the others is not built yet: etcd's own way is `etcdctl member remove`, then "
        "`etcdctl member add` with an empty data directory",
    )


def _not_known(cluster: str, why: str) -> Verdict:
    return unknown(
        "NotCompared",
        f"the members' data could not be compared: {why}",
        next_step=f"run again; `quoracy status {cluster} --deep` compares alone",
    )


def _not_compared(names: Iterable[str]) -> str:
    told = ", ".join(names)
    return f"; not compared, as they serve no reads: {told}" if told else ""
