"""Whether members hold the same data: hashes at one revision, and reads that began later."""

from __future__ import annotations

import pytest

from quoracy.etcd.checks_same_data import check_hashes, check_revisions
from quoracy.etcd.facts_data import HashFacts


def hashes(*told: tuple[int, int] | None) -> dict[str, HashFacts | None]:
    return {f"demo-{n}": one and HashFacts(*one) for n, one in enumerate(told, 1)}


@pytest.mark.parametrize(
    ("told", "status", "reason"),
    [
        (hashes((7, -1), (7, -1), (7, -1)), "pass", "SameData"),
        (hashes((7, 3), (7, 3)), "pass", "SameData"),
        (hashes((7, 3), (8, 3), (7, 3)), "fail", "Diverged"),
        (hashes((7, 3), (8, 4), (7, 3)), "unknown", "NotCompared"),
        (hashes((7, 3), (7, 4), (7, 3)), "unknown", "NotCompared"),
        (hashes((7, 3), None, (7, 3)), "unknown", "NotCompared"),
        (hashes((7, 3), None, (8, 3)), "unknown", "NotCompared"),
        ({}, "unknown", "NotCompared"),
    ],
)
def test_hashes(told: dict[str, HashFacts | None], status: str, reason: str) -> None:
    verdict = check_hashes("demo", 5, told, [])
    assert (verdict.status, verdict.reason) == (status, reason)
    assert verdict.stops == (status != "pass")
    assert bool(verdict.next_step) == verdict.stops


def test_members_are_named_with_their_hashes_and_those_left_out_as_well() -> None:
    verdict = check_hashes("demo", 5, hashes((7, -1), (255, -1)), ["demo-3"])
    assert "at revision 5 their hashes are demo-1 00000007, demo-2 000000ff" in verdict.message
    assert verdict.message.endswith("not compared, as they serve no reads: demo-3")
    assert "demo-3" in check_hashes("demo", 5, hashes((7, -1), (7, -1)), ["demo-3"]).message


@pytest.mark.parametrize(
    ("first", "then", "status"),
    [
        ({"a": 11, "b": 1}, {"a": 11, "b": 1}, "fail"),
        ({"a": 11, "b": 1}, {"a": 12, "b": 10}, "fail"),
        # It lagged, or was asked a moment before: the read has waited until all was applied.
        ({"a": 11, "b": 9}, {"a": 11, "b": 11}, "pass"),
        # Under load no two members are ever asked at one moment.
        ({"a": 500, "b": 507, "c": 503}, {"a": 511, "b": 508, "c": 530}, "pass"),
        ({"a": 11, "b": 9}, {"a": 11}, "pass"),
        ({"a": 11, "b": 9}, {"a": 11, "b": None}, "unknown"),
        ({"a": 11, "b": 9, "c": 11}, {"a": None, "b": 9, "c": 11}, "fail"),
    ],
)
def test_revisions(first: dict[str, int], then: dict[str, int | None], status: str) -> None:
    assert check_revisions("demo", first, then, []).status == status


def test_a_member_that_is_behind_is_named() -> None:
    verdict = check_revisions("demo", {"a": 11, "b": 1, "c": 11}, {"a": 12, "b": 2, "c": 12}, ["d"])
    assert verdict.reason == "Diverged"
    assert "a was at revision 11" in verdict.message
    assert "answered by b at revision 2" in verdict.message
    assert verdict.message.endswith("not compared, as they serve no reads: d")
