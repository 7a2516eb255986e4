"""Why a member ended, read from logs that real members have left (tests/etcd/recorded_logs)."""

from __future__ import annotations

from pathlib import Path

import pytest

from quoracy.etcd.facts_log import MAX_CHARS, cause_of_end, last_lines

RECORDED = Path(__file__).with_name("recorded_logs")


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        (
            "3.4.23-downgrade",
            "invalid downgrade; server version is lower than determined cluster version "
            "(current-server-version 3.4.23, determined-cluster-version 3.5)",
        ),
        (
            "3.5.16-corrupt-database",
            "failed to open database: invalid database (path d2/member/snap/db)",
        ),
        (
            "3.5.16-no-permission",
            "failed to list data directory: open d3: permission denied (dir d3)",
        ),
        ("3.5.16-bad-config", ""),
    ],
)
def test_the_fatal_line_or_the_panic_is_the_cause(name: str, cause: str) -> None:
    assert cause_of_end((RECORDED / f"{name}.log").read_text()) == cause


def test_where_no_cause_is_known_the_last_lines_are_shown() -> None:
    log = (RECORDED / "3.5.16-bad-config.log").read_text()
    assert "failed to verify flags" in last_lines(log).splitlines()[-1]
    assert last_lines("\n".join(map(str, range(20)))).split() == [
        str(number) for number in range(12, 20)
    ]


def test_a_member_that_was_started_again_and_again_has_one_cause() -> None:
    log = (RECORDED / "3.5.16-corrupt-database.log").read_text()
    assert cause_of_end(log * 5) == cause_of_end(log)


def test_the_refusal_of_the_check_before_the_start_is_a_cause() -> None:
    said = "quoracy: refusing to start member a: there is no log in /w\nunit failed"
    assert cause_of_end(said) == "refusing to start member a: there is no log in /w"


@pytest.mark.parametrize(
    "line", ["", "{", '{"level": []}', "[1]", "{}", '{"level": "panic"}', '"panic"']
)
def test_lines_that_say_nothing_are_no_cause(line: str) -> None:
    assert cause_of_end(line) == ""


def test_a_cause_is_bounded() -> None:
    assert len(cause_of_end("panic: " + "x" * 100_000)) == MAX_CHARS


def test_what_a_log_says_is_fit_for_a_terminal() -> None:
    log = '{"level":"fatal","msg":"\\u001b]0;x\\u0007 no\\nspace"}\n\x1b[31mbye\u2028'
    assert cause_of_end(log) == "?]0;x? no space"
    assert last_lines(log).splitlines()[-1] == "?[31mbye"
