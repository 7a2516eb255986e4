"""Answers to a linearizable read as real members gave them, 3.4.23 to 3.7.3."""

from __future__ import annotations

import pytest

from quoracy.etcd.facts_read import ReadFacts, parse_read
from quoracy.hosts.bounded import Unreadable
from quoracy.hosts.question import Answer

HEADER = '"header":{"cluster_id":7326054805509502276,"member_id":12058907941444434240'


@pytest.mark.parametrize(
    ("told", "read"),
    [
        # `get`, with and without the key.
        (f'{{{HEADER},"revision":6,"raft_term":2}}}}', ReadFacts(True, 6)),
        (
            f'{{{HEADER},"revision":7,"raft_term":2}},"kvs":[{{"key":"aGVhbHRo","create_revision":7,'
            '"mod_revision":7,"version":1}],"count":1}',
            ReadFacts(True, 7),
        ),
        # `endpoint health`, for a user that may not read: permitted, and under an alarm.
        (
            '[{"endpoint":"https://127.0.0.1:22100","health":true,"took":"4.98128ms"}]',
            ReadFacts(True),
        ),
        (
            '[{"endpoint":"https://127.0.0.1:22300","health":false,"took":"18.272466ms",'
            '"error":"Active Alarm(s): NOSPACE "}]',
            ReadFacts(True),
        ),
        # A learner, no quorum, nothing that answers.
        (
            '[{"endpoint":"https://127.0.0.1:22330","health":false,"took":"5.626288ms",'
            '"error":"etcdserver: rpc not supported for learner"}]',
            ReadFacts(False),
        ),
        (
            '[{"endpoint":"https://127.0.0.1:22000","health":false,"took":"5.000833139s",'
            '"error":"context deadline exceeded"}]',
            ReadFacts(False),
        ),
        ("", ReadFacts(False)),
        ("null", ReadFacts(False)),
    ],
)
def test_reads(told: str, read: ReadFacts) -> None:
    for exit_code in (0, 1):
        assert parse_read(Answer(told, exit_code)) == read


@pytest.mark.parametrize(
    "told", ['{"header":5}', '{"header":{"revision":"6"}}', '[{"health":1}]', "[7]", "no JSON"]
)
def test_what_no_etcd_says_is_no_answer(told: str) -> None:
    with pytest.raises(Unreadable):
        parse_read(Answer(told, 0))
