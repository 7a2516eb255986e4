"""Which numbers of hosts are beyond all reason."""

from __future__ import annotations

from quoracy.operation.fences import check_fences
from quoracy.operation.guard import REACH
from quoracy.operation.verdict import Status


def test_a_number_that_operations_can_have_reached_is_none_of_our_business() -> None:
    assert check_fences("demo", 7, {"one": 0, "two": 7, "three": 7 + REACH}) == []


def test_one_that_they_cannot_is_refused_with_the_host_and_what_helps() -> None:
    (verdict,) = check_fences("service:web", 7, {"one": 3, "two": 8 + REACH})
    assert verdict.stops
    assert (verdict.reason, verdict.where) == ("NumberBeyondReason", "two")
    assert "operation number 1000008 has acted on service:web" in verdict.message
    assert "the last one here was number 7" in verdict.message
    assert "`quoracy lease renumber service:web two`" in verdict.next_step


def test_where_nothing_is_to_be_done_it_is_a_warning() -> None:
    (verdict,) = check_fences("demo", 3, {"one": 3 + REACH + 1}, acts=False)
    assert (verdict.status, verdict.reason) == (Status.WARN, "NumberBeyondReason")
    assert not verdict.stops
