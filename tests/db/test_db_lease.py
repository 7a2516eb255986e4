from __future__ import annotations

import multiprocessing
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Barrier
from threading import Barrier as ThreadBarrier
from typing import Any

import pytest

from quoracy.db.holder import Holder, this_process
from quoracy.db.lease import (
    EXPIRES_AFTER,
    beat,
    break_lease,
    get_lease,
    highest_fence,
    lease_state,
    list_leases,
    release_lease,
    take_lease,
)
from quoracy.db.models import Lease
from quoracy.db.operations import NewOperation, end_operation, get_operation, start_operation
from quoracy.db.session import Database, open_database
from quoracy.errors import LeaseHeld, Refused

ROUNDS = 50
ELSEWHERE = Holder(id="ann@other:7:x", machine="other", boot_id="b2", pid=7, process_started=9)
OTHER = Holder(id="bob@third:8:y", machine="third", boot_id="b3", pid=8, process_started=9)


def take(
    db: Database, now: datetime, holder: Holder = OTHER, operation: str = "op-2", **more: Any
) -> int:
    """Take the lease of `demo`, unless told otherwise."""
    given = {"cluster": "demo", "reason": "upgrade to 3.5.30", **more}
    return take_lease(db, operation_id=operation, holder=holder, now=now, **given)


def dead_here() -> Holder:
    """A holder on this boot whose process has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return replace(this_process(), id=f"dead:{process.pid}", pid=process.pid)


def test_a_free_lease_is_taken(db: Database, now: datetime) -> None:
    assert take(db, now, ELSEWHERE, "op-1") == 1
    lease = get_lease(db, "demo")
    assert lease is not None
    assert (lease.holder, lease.operation_id, lease.fence) == (ELSEWHERE.id, "op-1", 1)
    assert (lease.reason, lease.taken_at, lease.heartbeat_at) == ("upgrade to 3.5.30", now, now)
    assert (lease.machine, lease.boot_id, lease.pid, lease.process_started) == ("other", "b2", 7, 9)


def test_leases_of_other_clusters_are_not_in_the_way(db: Database, now: datetime) -> None:
    take(db, now, ELSEWHERE, "op-1", cluster="first")
    assert take(db, now, cluster="second") == 1


def test_a_held_lease_says_who_why_since_when_and_until_when(db: Database, now: datetime) -> None:
    take(db, now, ELSEWHERE, "op-1")
    beat(db, "demo", ELSEWHERE, 1, now + timedelta(seconds=10))
    with pytest.raises(LeaseHeld) as caught:
        take(db, now + timedelta(seconds=30))
    assert caught.value.where == "demo"
    assert caught.value.what == (
        "ann@other:7:x works on it since 2026-11-20 03:00:00 UTC: upgrade to 3.5.30. "
        "Its lease expires 60 s after its last beat, which was at 2026-11-20 03:00:10 UTC"
    )
    assert "`quoracy lease show demo`" in caught.value.next_step
    assert isinstance(caught.value, Refused)


def test_a_lease_that_beats_is_never_taken(db: Database, now: datetime) -> None:
    fence = take(db, now, ELSEWHERE, "op-1")
    for seconds in range(10, 3600, 10):
        then = now + timedelta(seconds=seconds)
        assert beat(db, "demo", ELSEWHERE, fence, then)
        with pytest.raises(LeaseHeld):
            take(db, then + timedelta(seconds=9))


def test_it_expires_after_60_seconds_and_not_before(db: Database, now: datetime) -> None:
    take(db, now, ELSEWHERE, "op-1")
    with pytest.raises(LeaseHeld):
        take(db, now + timedelta(seconds=60))
    assert take(db, now + timedelta(seconds=60, microseconds=1)) == 2


def test_the_former_holder_learns_that_it_has_lost_the_lease(db: Database, now: datetime) -> None:
    first = take(db, now, ELSEWHERE, "op-1")
    later = now + timedelta(seconds=61)
    second = take(db, later)
    assert not beat(db, "demo", ELSEWHERE, first, later)
    assert not release_lease(db, "demo", ELSEWHERE, first)
    assert beat(db, "demo", OTHER, second, later)


def test_a_beat_counts_only_for_its_own_number(db: Database, now: datetime) -> None:
    first = take(db, now, ELSEWHERE, "op-1")
    release_lease(db, "demo", ELSEWHERE, first)
    assert take(db, now, ELSEWHERE, "op-2") == first + 1
    assert not beat(db, "demo", ELSEWHERE, first, now)


def test_numbers_only_rise_also_over_a_release(db: Database, now: datetime) -> None:
    fences = []
    for turn in range(5):
        fences.append(take(db, now, ELSEWHERE, f"op-{turn}"))
        assert release_lease(db, "demo", ELSEWHERE, fences[-1])
        assert get_lease(db, "demo") is None
    assert fences == [1, 2, 3, 4, 5]
    assert (highest_fence(db, "demo"), highest_fence(db, "other")) == (5, 0)


@pytest.mark.parametrize("operation", ["op-1", "op-2"])
def test_its_own_process_does_not_take_it_a_second_time(
    db: Database, now: datetime, operation: str
) -> None:
    take(db, now, this_process(), "op-1")
    with pytest.raises(LeaseHeld):
        take(db, now, this_process(), operation)


def test_a_dead_process_of_this_boot_loses_its_lease_at_once(db: Database, now: datetime) -> None:
    take(db, now, dead_here(), "op-1")
    assert take(db, now, this_process()) == 2


def test_a_process_id_that_was_given_again_is_dead(db: Database, now: datetime) -> None:
    here = this_process()
    take(db, now, replace(here, process_started=here.process_started - 1), "op-1")
    assert take(db, now, here) == 2


@pytest.mark.parametrize("differs", [{"boot_id": "another"}, {"machine": "another"}])
def test_elsewhere_a_missing_process_means_nothing(
    db: Database, now: datetime, differs: dict[str, Any]
) -> None:
    take(db, now, replace(dead_here(), **differs), "op-1")
    with pytest.raises(LeaseHeld):
        take(db, now, this_process())


def winners(outcomes: list[list[int]]) -> list[list[int]]:
    """Turn the fences of each taker into the fences that were given out in each round."""
    return [[fence for fence in round_ if fence] for round_ in zip(*outcomes, strict=True)]


def try_to_take(db: Database, number: int, who: Holder, at: datetime, operation: str) -> int:
    """Return the fence, or 0 when somebody else has the lease."""
    try:
        return take(db, at, who, operation, cluster=f"round-{number}")
    except LeaseHeld:
        return 0


def race_in_process(url: str, name: str, at: datetime, start: Barrier, results: Any) -> None:
    db = open_database(url)
    holder = replace(this_process(), id=name)
    fences = []
    for number in range(ROUNDS):
        start.wait(60)
        fences.append(try_to_take(db, number, holder, at, f"{name}-{number}"))
    start.wait(60)  # nobody ends before all have finished: an ended process loses its lease
    db.close()
    results.put(fences)


def race(url: str, at: datetime) -> list[list[int]]:
    """Let two processes take the leases of 50 clusters, round by round at the same moment."""
    processes = multiprocessing.get_context("spawn")
    start, results = processes.Barrier(2), processes.Queue()
    takers = [
        processes.Process(target=race_in_process, args=(url, name, at, start, results))
        for name in ("one", "two")
    ]
    for taker in takers:
        taker.start()
    outcomes = [results.get(timeout=120) for _ in takers]
    for taker in takers:
        taker.join()
    return winners(outcomes)


def occupy(db: Database, holder: Callable[[], Holder], at: datetime) -> None:
    for number in range(ROUNDS):
        take(db, at, holder(), "op-old", cluster=f"round-{number}")


def test_of_two_processes_one_takes_a_lease_that_never_was(url: str, now: datetime) -> None:
    assert race(url, now) == [[1]] * ROUNDS


def test_of_two_processes_one_takes_an_expired_lease(db: Database, url: str, now: datetime) -> None:
    occupy(db, lambda: ELSEWHERE, now)
    assert race(url, now + timedelta(seconds=61)) == [[2]] * ROUNDS


def test_of_two_processes_one_takes_the_lease_of_a_dead_one(
    db: Database, url: str, now: datetime
) -> None:
    occupy(db, dead_here, now)
    assert race(url, now) == [[2]] * ROUNDS


def test_two_processes_never_take_a_live_lease(db: Database, url: str, now: datetime) -> None:
    occupy(db, this_process, now)
    assert race(url, now) == [[]] * ROUNDS


def test_of_eight_threads_one_takes_the_lease(db: Database) -> None:
    here, at, start = this_process(), datetime.now(UTC), ThreadBarrier(8)

    def run(taker: int) -> list[int]:
        fences = []
        for number in range(ROUNDS):
            start.wait(60)
            fences.append(try_to_take(db, number, here, at, f"{taker}-{number}"))
        return fences

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(run, range(8)))
    assert winners(outcomes) == [[1]] * ROUNDS


def broken(db: Database, now: datetime, looked_at: Lease | None = None) -> bool:
    lease = looked_at or next(iter(list_leases(db)))
    return break_lease(db, lease, by="eve on ops2", here=this_process(), now=now)


def begun(db: Database, now: datetime, operation: str = "op-1") -> None:
    """The journal of an operation that runs."""
    start_operation(
        db,
        NewOperation(
            id=operation,
            cluster="demo",
            kind="etcd-deploy",
            title="t",
            holder="h",
            requested_by="ann",
            origin="terminal",
            plan="{}",
            plan_digest="0",
        ),
        now=now,
    )


@pytest.mark.parametrize(
    ("holder", "late", "state"),
    [
        (ELSEWHERE, timedelta(), "live"),
        (ELSEWHERE, EXPIRES_AFTER, "live"),
        (ELSEWHERE, EXPIRES_AFTER + timedelta(microseconds=1), "expired"),
        ("dead", timedelta(), "process gone"),
        ("dead", 2 * EXPIRES_AFTER, "process gone"),
        ("here", timedelta(), "live"),
        ("here", 2 * EXPIRES_AFTER, "expired"),
    ],
)
def test_only_a_lease_that_is_not_live_can_be_broken(
    db: Database, now: datetime, holder: Holder | str, late: timedelta, state: str
) -> None:
    chosen = {"dead": dead_here(), "here": this_process()}.get(str(holder), holder)
    assert isinstance(chosen, Holder)
    take(db, now, chosen, "op-1")
    begun(db, now)
    (lease,) = list_leases(db)
    assert lease_state(lease, this_process(), now + late) == state
    assert broken(db, now + late) == (state != "live")
    operation = get_operation(db, "op-1")
    assert (operation.outcome, get_lease(db, "demo") is None) == (
        (None, False) if state == "live" else ("failed", True)
    )


def test_breaking_keeps_the_number_and_tells_the_journal_who_did_it_and_why(
    db: Database, now: datetime
) -> None:
    take(db, now, ELSEWHERE, "op-1")
    begun(db, now)
    later = now + 2 * EXPIRES_AFTER
    assert broken(db, later)
    operation = get_operation(db, "op-1")
    assert (operation.state, operation.outcome, operation.ended_at) == ("ended", "failed", later)
    assert operation.error == (
        "eve on ops2 broke its lease at 2026-11-20 03:02:00 UTC: "
        "its last beat was at 2026-11-20 03:00:00 UTC"
    )
    (lease,) = list_leases(db)
    assert (lease.holder, lease.fence, lease_state(lease, this_process(), later)) == (
        None,
        1,
        "free",
    )
    assert not broken(db, later)
    assert not beat(db, "demo", ELSEWHERE, 1, later)
    assert take(db, later) == 2


def test_a_holder_that_woke_up_since_it_was_looked_at_keeps_its_lease(
    db: Database, now: datetime
) -> None:
    take(db, now, ELSEWHERE, "op-1")
    begun(db, now)
    later, (looked_at,) = now + 2 * EXPIRES_AFTER, list_leases(db)
    assert beat(db, "demo", ELSEWHERE, 1, later)
    assert not broken(db, later, looked_at)
    assert get_operation(db, "op-1").state == "running"


@pytest.mark.parametrize("again", [OTHER, "dead"])
def test_a_lease_that_changed_hands_since_it_was_looked_at_is_not_broken(
    db: Database, now: datetime, again: Holder | str
) -> None:
    dead = dead_here()
    take(db, now, dead, "op-1")
    (looked_at,) = list_leases(db)
    later = now + 2 * EXPIRES_AFTER
    take(db, later, dead if again == "dead" else OTHER, "op-2")
    begun(db, later, "op-2")
    assert not broken(db, later, looked_at)
    assert get_operation(db, "op-2").state == "running"


def test_an_operation_that_ended_by_itself_keeps_its_outcome(db: Database, now: datetime) -> None:
    take(db, now, dead_here(), "op-1")
    begun(db, now)
    assert end_operation(db, "op-1", "rolled_back", now=now)
    assert broken(db, now)
    assert get_operation(db, "op-1").outcome == "rolled_back"


def test_of_many_who_break_at_once_one_does(url: str, now: datetime) -> None:
    db = open_database(url)
    take(db, now, dead_here(), "op-1")
    begun(db, now)
    (lease,) = list_leases(db)
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: broken(db, now, lease), range(8)))
    db.close()
    assert sorted(told) == [False] * 7 + [True]
