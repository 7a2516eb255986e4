"""Wait until a started member serves, has caught up, and stays so for two election timeouts."""

from __future__ import annotations

import time
from collections.abc import Callable

from quoracy.aside import pause
from quoracy.errors import RemoteError, StepFailed
from quoracy.etcd.facts import MemberPoll
from quoracy.etcd.spec import EtcdCluster

READS = 3
POLL_S = 0.1
Poll = Callable[[], MemberPoll]


def await_member(
    cluster: EtcdCluster,
    host: str,
    poll: Poll,
    last_look: Poll,
    *,
    sleep: Callable[[float], None] = pause,
    clock: Callable[[], float] = time.monotonic,
) -> str:
    """Poll the member until it is fit, or its start timeout is over.

    A look that fails does not count against the member, it only takes time. Fit means: the unit's
    process has not been replaced since the first look, and three linearizable reads in a row through
    this member succeeded, the last of them two election timeouts after the process started. Such a
    read is answered only once the member has applied all that the leader had committed when it was
    asked (etcdserver's linearizableReadLoop waits for the ReadIndex), so it has caught up.

    Args:
        poll: A quick look at the member.
        last_look: A look at all hosts, for the read that ends the window: what it finds also serves
            the planning that follows.

    Returns:
        What was seen, one line for the journal.

    Raises:
        StepFailed: It was restarted, has ended, or did not become fit in time.
    """
    window = 2 * cluster.etcd.election_timeout_ms / 1000
    asked = clock()
    deadline = asked + cluster.systemd.start_timeout_s
    first: MemberPoll | None = None
    reads = 0
    while True:
        seen = _try(last_look if reads >= READS - 1 else poll)
        if seen is not None:
            first = first or seen
            _require_alive(cluster, host, seen)
            _require_same_process(cluster, host, seen, first)
        reads = reads + 1 if seen is not None and seen.healthy else 0
        if seen is not None and reads >= READS and seen.unit.running and _age(seen) >= window:
            break
        if clock() > deadline:
            raise _not_fit(cluster, host, seen)
        sleep(max(POLL_S, _pause(seen, window, reads) - (clock() - asked)))
        asked = clock()
    return f"{reads} reads in a row, {_age(seen):.1f} s after its start"


def _try(look: Poll) -> MemberPoll | None:
    """A look; None when the host could not be asked, which is no proof against the member."""
    try:
        return look()
    except RemoteError:
        return None


def _age(poll: MemberPoll) -> float:
    """Seconds since the member's process started."""
    return poll.uptime_s - poll.unit.started_s


def _pause(poll: MemberPoll | None, window: float, reads: int) -> float:
    """Seconds between two looks: the reads are spread over what is left of the window."""
    if poll is None or not poll.healthy:
        return POLL_S
    return (window - _age(poll)) / max(1, READS - reads)


def _require_alive(cluster: EtcdCluster, host: str, poll: MemberPoll) -> None:
    """A unit that has ended, and that systemd does not start again, is waited for in vain."""
    if poll.unit.pid or poll.unit.active not in ("inactive", "failed"):
        return
    raise StepFailed(
        f"the member has ended (unit is {poll.unit.active})",
        where=host,
        next_step=f"look at `journalctl -u {cluster.unit}` on the host",
    )


def _require_same_process(
    cluster: EtcdCluster, host: str, poll: MemberPoll, first: MemberPoll
) -> None:
    if poll.unit.pid == first.unit.pid and poll.unit.restarts == first.unit.restarts:
        return
    raise StepFailed(
        f"the member was restarted while it was waited for (unit is {poll.unit.active})",
        where=host,
        next_step=f"look at `journalctl -u {cluster.unit}` on the host",
    )


def _not_fit(cluster: EtcdCluster, host: str, poll: MemberPoll | None) -> StepFailed:
    seen = "the host could not be asked"
    if poll is not None:
        seen = f"unit {poll.unit.active}, healthy {poll.healthy}"
    return StepFailed(
        f"the member is not healthy and caught up after {cluster.systemd.start_timeout_s} s ({seen})",
        where=host,
        next_step=f"look at `journalctl -u {cluster.unit}` on the host",
    )
