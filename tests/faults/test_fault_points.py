"""Which calls are kill points, where a script is held, and what counts against a case."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from quoracy.errors import QuoracyError
from quoracy.operation.guard import Guard, guarded, released, settled
from tests.faults.faults_cases import UnderResult, under_cases
from tests.faults.faults_kills import Kill, KillResult, chains, judged, points
from tests.faults.faults_report import figures, write_page
from tests.faults.faults_rig import Seen
from tests.faults.faults_tap import Call, Point, Recorded, held, is_changing, purpose

GUARD = Guard("scene", "me@here:1:0a0b", 7)
HOSTS = ("one-1", "one-2", "one-3")


def recorded(what: str, *hosts: str, occurrence: int = 0) -> list[Recorded]:
    return [Recorded(Call(host, what, occurrence), 0.1, 20) for host in hosts]


def test_every_guarded_script_is_a_changing_call_and_no_other() -> None:
    assert is_changing(guarded(GUARD, "systemctl stop etcd-scene\n"), "scene")
    assert is_changing(released(GUARD), "scene")
    assert not is_changing(settled("scene", 10), "scene")
    assert not is_changing(guarded(GUARD, ":\n"), "other")


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("switch to generation 1ff1d6e752fe", "switch to generation *"),
        ("install etcd 3.5.30", "install etcd *"),
        ("mark the data, drop the keys of the first start",) * 2,
    ],
)
def test_a_purpose_does_not_depend_on_the_run(what: str, expected: str) -> None:
    assert purpose(what) == expected


def test_a_script_is_held_between_its_guard_and_its_own_first_command() -> None:
    script = held(guarded(GUARD, "touch /own\n"), "1-1")
    before, waiting, after = script.partition("while [ -e /var/lib/quoracy-faults/1-1.mark ]")
    assert waiting
    assert "flock" in before
    assert "touch /own" not in before
    assert "touch /own" in after


def test_a_script_with_another_guard_is_not_held_in_the_wrong_place() -> None:
    with pytest.raises(QuoracyError, match="last line"):
        held("echo no guard\n", "1-1")


def test_each_call_is_killed_before_in_the_middle_and_after() -> None:
    calls = [*recorded("stop", *HOSTS), *recorded("save a snapshot", "one-2")]
    cases = points("upgrade", 3, calls, seed=1)
    plain = Counter(case.point.when for case in cases if not case.point.with_host)
    assert plain == {"before": 4, "middle": 4, "after": 4}
    # The snapshot is taken wherever a healthy follower is; no host is known to lose its power.
    assert [c.point.call.what for c in cases if c.point.with_host] == ["stop"]
    assert {c.point.call.host for c in cases if c.point.call.what == "save a snapshot"} == {""}
    assert all(0 < c.point.commands < 20 for c in cases if c.point.when == "middle")
    assert cases == points("upgrade", 3, calls, seed=1)


def test_of_the_claims_that_beats_repeat_one_is_a_kill_point() -> None:
    calls = [one for n in range(5) for one in recorded("claim the host", *HOSTS, occurrence=n)]
    cases = points("upgrade", 3, calls, seed=1)
    assert {case.point.call.occurrence for case in cases} == {0}


def test_a_chain_goes_through_the_operation_and_no_point_is_left_out() -> None:
    calls = [one for what in ("stop", "start", "let go") for one in recorded(what, *HOSTS)]
    cases = points("upgrade", 3, calls, seed=1)
    dealt = chains(cases, 5)
    assert sorted(map(id, (case for chain in dealt for case in chain))) == sorted(map(id, cases))
    assert max(map(len, dealt)) == 5
    for chain in dealt:
        assert [cases.index(case) for case in chain] == sorted(cases.index(case) for case in chain)


@pytest.mark.parametrize(
    ("seen", "against"),
    [
        (Seen(writes=9), ""),
        (Seen(lost=2), "2 acknowledged writes lost"),
        (Seen(below_quorum=1, below_quorum_s=0.5), "below quorum 1 times, 0.50 s"),
        (Seen(hashes_equal=False), "the members do not hold the same data"),
    ],
)
def test_what_counts_against_a_case(seen: Seen, against: str) -> None:
    assert judged(seen) == against


def test_the_page_hides_no_case_that_is_not_as_it_must_be(tmp_path: Path) -> None:
    kill = Kill("upgrade", 3, Point(Call("one-1", "stop", 0), "before"), 20)
    bad = KillResult(kill, "before", "Refused", "the next run ended ['Refused']", Seen(), 1.0)
    good = KillResult(kill, "before", "done", "", Seen(writes=9, stall_s=0.25), 1.0)
    under = UnderResult(under_cases(3, 1)[0], "done", "", "", Seen(writes=9, stall_s=0.5), 1.0)
    assert figures([bad, good], [under]) == {
        "cases": 3,
        "converged": 2,
        "lost_writes": 0,
        "below_quorum": 0,
        "longest_stall_s": 0.5,
    }
    page = tmp_path / "reliability.md"
    write_page(page, [bad, good], [under], {"upgrade of 3": 1}, 1, 2.0)
    text = page.read_text()
    assert "## Not as it must be" in text
    assert "killed before 'stop' on one-1: the next run ended ['Refused']" in text
    assert "| upgrade of 3 | 1 | 2 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0.25 s |" in text
    assert "3 cases, 2 as they must be" in text
