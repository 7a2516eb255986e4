"""What follows from polls: intervals of being down, times below quorum, changes of the leader."""

from __future__ import annotations

import pytest

from tests.judges.availability import Availability, Interval, MemberLog, joined, overlapping


def seen(**downs: list[tuple[float, float]]) -> Availability:
    return Availability(
        {name: tuple(Interval(*one) for one in told) for name, told in downs.items()}, {}, {}
    )


def test_down_lasts_from_the_last_answer_before_a_failure_to_the_first_after_it() -> None:
    log = MemberLog()
    log.served(1.0, 2, "a")
    log.failed()
    log.failed()
    log.served(3.0, 2, "a")
    assert log.closed(9.0) == [(1.0, 3.0)]
    assert log.polls == 4


def test_a_slow_answer_is_no_failure() -> None:
    log = MemberLog()
    log.served(1.0, 2, "a")
    log.served(1.9, 2, "a")
    assert log.closed(9.0) == []


def test_a_member_that_does_not_come_back_is_down_until_the_end() -> None:
    log = MemberLog()
    log.served(1.0, 2, "a")
    log.failed()
    assert log.closed(9.0) == [(1.0, 9.0)]


@pytest.mark.parametrize(
    ("downs", "below"),
    [
        ({"a": [(1, 2)], "b": [(3, 4)], "c": []}, ()),
        ({"a": [(1, 2)], "b": [(2, 3)], "c": []}, ()),
        ({"a": [(1, 5)], "b": [(2, 3)], "c": []}, (Interval(2, 3),)),
        ({"a": [(1, 5)], "b": [(2, 4)], "c": [(3, 6)]}, (Interval(2, 5),)),
        ({"a": [(1, 5)], "b": [(2, 4)], "c": [], "d": [], "e": []}, ()),
        ({"a": [(1, 9)], "b": [(2, 4)], "c": [(3, 8)], "d": [], "e": []}, (Interval(3, 4),)),
        ({"a": [(1, 9)], "b": [(2, 3), (5, 6)], "c": []}, (Interval(2, 3), Interval(5, 6))),
        ({"a": [(1, 9)], "b": []}, (Interval(1, 9),)),
    ],
)
def test_below_quorum_is_when_too_few_serve_at_once(
    downs: dict[str, list[tuple[float, float]]], below: tuple[Interval, ...]
) -> None:
    assert seen(**downs).below_quorum == below


def test_intervals_that_touch_do_not_overlap() -> None:
    assert overlapping([[Interval(1, 2)], [Interval(2, 3)]], 2) == ()


def test_a_leader_counts_once_for_each_term_and_none_is_no_leader() -> None:
    first, second = MemberLog(), MemberLog()
    first.served(1.0, 2, "a")
    first.served(2.0, 3, "0")
    second.served(2.5, 3, "b")
    second.served(2.6, 3, "b")
    availability = joined({"a": first, "b": second}, 3.0)
    assert availability.terms == {2: "a", 3: "b"}
    assert availability.leader_changes == 1
