"""What etcdctl prints as JSON: recorded answers with one value changed, and what is said of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from quoracy.etcd.facts import parse_members, parse_statuses
from quoracy.etcd.facts_answers import SavedSnapshot, parse_saved
from quoracy.etcd.facts_read import ReadFacts, parse_read
from quoracy.hosts.bounded import Unreadable
from quoracy.hosts.question import Answer, parse_answers

RECORDED = Path(__file__).parent / "recorded"
ANSWERS = parse_answers((RECORDED / "3.5.30/healthy/facts-1.txt").read_bytes())
PARSERS: dict[str, Any] = {
    "status": parse_statuses,
    "health": parse_read,
    "members": parse_members,
}


def changed(question: str, path: tuple[str | int, ...], value: Any) -> Answer:
    """The recorded answer with one part replaced."""
    found = json.loads(ANSWERS[question].text)
    part = found
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    return Answer(json.dumps(found), 0)


HEADER = (0, "Status", "header")
WRONG = [
    ("status", (0,), 1, "0: Input should be an object"),
    ("status", (0, "Status"), None, "0.Status: Input should be an object"),
    ("status", (*HEADER, "revision"), -1, "revision: Input should be greater than or equal to 0"),
    ("status", (*HEADER, "revision"), 2**63, "revision: Input should be less than or equal to"),
    ("status", (*HEADER, "revision"), "7", "revision: Input should be a valid integer"),
    ("status", (*HEADER, "revision"), 1.5, "revision: Input should be a valid integer"),
    ("status", (*HEADER, "revision"), float("nan"), "revision: Input should be a valid integer"),
    ("status", (*HEADER, "revision"), True, "revision: Input should be a valid integer"),
    ("status", (*HEADER, "cluster_id"), 2**64, "cluster_id: Input should be less than or equal to"),
    ("status", (*HEADER, "member_id"), 0, "member_id: Input should be greater than or equal to 1"),
    ("status", (0, "Status", "version"), "3.x", "version: String should match pattern"),
    ("status", (0, "Status", "version"), "3.5.1\n", "version: String should match pattern"),
    ("status", (0, "Status", "errors"), ["\x1b[31m"], "errors.0: Value error, a text is"),
    ("status", (0, "Status", "errors"), "alarm:NOSPACE", "errors: Input should be a valid array"),
    ("status", (0, "Status", "isLearner"), "no", "isLearner: Input should be a valid boolean"),
    ("health", ("header",), 1, "header: Input should be an object"),
    ("health", ("header", "revision"), "7", "revision: Input should be a valid integer"),
    ("members", ("members",), None, "members: Input should be a valid array"),
    ("members", ("members", 0), [], "members.0: Input should be an object"),
    ("members", ("members", 0, "ID"), "abc", "ID: Input should be a valid integer"),
    ("members", ("members", 0, "name"), "\u202ename", "name: Value error, a text is"),
    ("members", ("members", 0, "peerURLs"), [1], "peerURLs.0: Input should be a valid string"),
    ("members", ("members",), [{"ID": 1}] * 101, "members: List should have at most 100 items"),
]


@pytest.mark.parametrize(("question", "path", "value", "reason"), WRONG)
def test_what_does_not_fit(question: str, path: Any, value: Any, reason: str) -> None:
    with pytest.raises(Unreadable) as told:
        PARSERS[question](changed(question, path, value))
    assert reason in str(told.value)
    assert str(told.value).isprintable()


@pytest.mark.parametrize("question", PARSERS)
@pytest.mark.parametrize("text", ["{", "[1", '"x"', "[" * 100_000, "Error: unknown flag", "\x00"])
def test_what_is_no_answer(question: str, text: str) -> None:
    with pytest.raises(Unreadable):
        PARSERS[question](Answer(text, 0))


def test_a_member_that_cannot_be_reached_prints_nothing() -> None:
    silent = Answer("\n", 1)
    assert (parse_statuses(silent), parse_read(silent), parse_members(silent)) == (
        (),
        ReadFacts(False),
        None,
    )
    # Go writes a list that was never filled as null.
    assert parse_statuses(Answer("null", 1)) == ()


def test_an_id_may_need_all_64_bits() -> None:
    (status,) = parse_statuses(changed("status", (*HEADER, "member_id"), 2**64 - 1))
    assert status.member_id == "f" * 16


@pytest.mark.parametrize("version", ["3.4.23", "3.5.30"])
def test_a_snapshot_as_recorded(version: str) -> None:
    output = (RECORDED / version / "saved.jsonl").read_bytes()
    assert parse_saved(output) == SavedSnapshot(2, "412ca885fa6038db", version)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (b"", "not one line for the member"),
        (b"[]\n{}\n", "revision: Field required"),
        (b'[]\n{"revision":1}\n', "not one line for the member"),
        (b'{"revision":1}\n', "Input should be a valid array"),
        (b'[{"Endpoint":"x","Status":{}}]\n{"revision":1}\n', "header: Field required"),
        (b"\xff\n\xff\n", "Invalid JSON"),
        (b'null\n{"revision":-1}', "revision: Input should be greater than or equal to 0"),
    ],
)
def test_what_says_nothing_of_a_snapshot(output: bytes, reason: str) -> None:
    with pytest.raises(Unreadable) as told:
        parse_saved(output)
    assert reason in str(told.value)
