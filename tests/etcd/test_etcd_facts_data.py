"""What real members said of their data (recorded/README.md), and what is no answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from quoracy.etcd.checks_same_data import check_hashes
from quoracy.etcd.facts_data import HashFacts, parse_hash, parse_revision
from quoracy.hosts.bounded import Unreadable
from quoracy.hosts.question import Answer, parse_answers

RECORDED = Path(__file__).parent / "recorded"
HOSTS = ("facts-1", "facts-2", "facts-3")


def recorded(version: str, situation: str) -> dict[str, dict[str, Answer]]:
    place = RECORDED / version / situation
    return {name: parse_answers((place / f"{name}.txt").read_bytes()) for name in HOSTS}


@pytest.mark.parametrize("version", ["3.4.23", "3.5.16", "3.5.30"])
class TestRecorded:
    def test_members_of_a_whole_cluster_hold_the_same(self, version: str) -> None:
        told = {name: parse_hash(one) for name, one in recorded(version, "hash").items()}
        assert check_hashes("facts", 6, told, []).reason == "SameData"
        assert {one and one.compacted for one in told.values()} == {-1}
        reads = {parse_revision(one) for one in recorded(version, "hash").values()}
        assert reads == {6}

    def test_a_compaction_makes_another_hash_and_is_told(self, version: str) -> None:
        before = {parse_hash(one) for one in recorded(version, "hash").values()}
        after = {parse_hash(one) for one in recorded(version, "hash-after-compaction").values()}
        assert len(after) == len(before) == 1
        assert {one and one.compacted for one in after} == {4}
        assert after != before

    def test_there_is_no_hash_at_a_revision_that_is_compacted(self, version: str) -> None:
        told = {name: parse_hash(one) for name, one in recorded(version, "hash-compacted").items()}
        assert set(told.values()) == {None}
        assert check_hashes("facts", 2, told, []).reason == "NotCompared"

    def test_without_quorum_a_member_hashes_and_serves_no_read(self, version: str) -> None:
        left, *dead = recorded(version, "hash-no-quorum").values()
        assert parse_hash(left) is not None
        assert parse_revision(left) is None
        assert [parse_hash(one) for one in dead] == [None, None]


@pytest.mark.parametrize("text", ["", "null", "[]"])
def test_no_answer_is_none(text: str) -> None:
    answer = Answer(text, 0)
    assert parse_hash({"hash": answer}) is None
    assert parse_revision({"read": answer}) is None


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "[[]]",
        "[{}]",
        '[{"HashKV": 7}]',
        '[{"HashKV": {"hash": "7"}}]',
        '[{"HashKV": {"hash": 1e300}}]',
        f'[{{"HashKV": {{"hash": {2**70}}}}}]',
        '{"header": []}',
        '{"header": {"revision": null}}',
        "[" * 100_000,
    ],
)
def test_what_no_etcd_says_is_no_answer(text: str) -> None:
    answer = Answer(text, 0)
    with pytest.raises(Unreadable):
        parse_hash({"hash": answer})
    with pytest.raises(Unreadable):
        parse_revision({"read": answer})


def test_zero_is_left_out_by_etcd() -> None:
    answer = Answer('[{"HashKV": {"header": {}, "hash": 5}}]', 0)
    assert parse_hash({"hash": answer}) == HashFacts(5, 0)
