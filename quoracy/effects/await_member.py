"""Wait until a started member serves, has caught up, and stays so for two election timeouts."""

from __future__ import annotations

import time
from collections.abc import Callable

from quoracy.effects.gather import poll_member
from quoracy.errors import StepFailed
from quoracy.facts.etcd import MemberPoll
from quoracy.remote.host import Host
from quoracy.spec.etcd import EtcdCluster
from quoracy.templates.render import client_url

READS = 3
POLL_S = 0.1


def await_member(
    cluster: EtcdCluster,
    host: Host,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> str:
    """Poll the member until it is fit, or its start timeout is over.

    Fit means: the unit's process has not been restarted since it was started, three linearizable
    reads through this member succeeded, the last of them two election timeouts after the process
    started, and its applied index is at or past the one the leader had at the first look.

    Returns:
        What was seen, one line for the journal.

    Raises:
        StepFailed: It was restarted, stopped, or did not become fit in time.
    """
    own = client_url(cluster, cluster.host(host.name))
    window = 2 * cluster.etcd.election_timeout_ms / 1000
    deadline = clock() + cluster.systemd.start_timeout_s
    first = poll_member(cluster, host)
    target = leader_index(first)
    reads = 1 if first.healthy else 0
    poll = first
    while reads < READS or not _fit(poll, first, own, target, window):
        if clock() > deadline:
            raise _not_fit(cluster, host.name, poll, _applied(poll, own), target)
        sleep(_pause(poll, window, reads))
        poll = poll_member(cluster, host)
        _require_same_process(cluster, host.name, poll, first)
        target = target if target is not None else leader_index(poll)
        reads = reads + 1 if poll.healthy else 0
    return f"{reads} reads in a row, {poll.uptime_s - poll.unit.started_s:.1f} s after its start"


def leader_index(poll: MemberPoll) -> int | None:
    """The leader's raft index, when the member reached the leader."""
    for status in poll.statuses:
        if status.leader_id == status.member_id:
            return status.raft_index
    return None


def _fit(poll: MemberPoll, first: MemberPoll, own: str, target: int | None, window: float) -> bool:
    applied = _applied(poll, own)
    return (
        poll.healthy
        and poll.unit.running
        and poll.unit.pid == first.unit.pid
        and target is not None
        and applied is not None
        and applied >= target
        and poll.uptime_s - poll.unit.started_s >= window
    )


def _applied(poll: MemberPoll, endpoint: str) -> int | None:
    """How far the member at this endpoint has applied the log; None when it did not answer."""
    for status in poll.statuses:
        if status.endpoint == endpoint:
            return status.applied_index
    return None


def _pause(poll: MemberPoll, window: float, reads: int) -> float:
    """Seconds to the next look: the reads are spread over what is left of the window."""
    left = window - (poll.uptime_s - poll.unit.started_s)
    return max(POLL_S, left / max(1, READS - reads)) if poll.healthy else POLL_S


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


def _not_fit(
    cluster: EtcdCluster, host: str, poll: MemberPoll, applied: int | None, target: int | None
) -> StepFailed:
    return StepFailed(
        f"the member is not healthy and caught up after {cluster.systemd.start_timeout_s} s "
        f"(unit {poll.unit.active}, healthy {poll.healthy}, applied {applied} of {target})",
        where=host,
        next_step=f"look at `journalctl -u {cluster.unit}` on the host",
    )
