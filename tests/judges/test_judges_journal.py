"""The journals are recorded from a practice cluster of 3.4.23: rolled to 3.5.16, restarted one by one
with `systemctl restart`, one process killed with SIGKILL, one host's power cut."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.judges.journal import Down, Entry, down_times, elections, overlaps, parse_journal

MEMBERS = ("bench-1", "bench-2", "bench-3")


@pytest.fixture(scope="module")
def journals() -> dict[str, tuple[Entry, ...]]:
    recorded = Path(__file__).with_name("journals")
    return {name: parse_journal((recorded / f"{name}.jsonl").read_bytes()) for name in MEMBERS}


def test_a_roll_and_restarts_are_down_times_from_stop_to_started(
    journals: dict[str, tuple[Entry, ...]],
) -> None:
    assert down_times("bench-1", journals["bench-1"]) == (
        Down("bench-1", 1795221570518997, 1795221572210454),
        Down("bench-1", 1795221844248262, 1795221844796421),
    )


def test_a_killed_process_is_down_from_its_end(journals: dict[str, tuple[Entry, ...]]) -> None:
    killed = down_times("bench-2", journals["bench-2"])[-1]
    assert killed == Down("bench-2", 1795221940925259, 1795221943259455)


def test_after_a_power_cut_a_member_is_down_from_its_last_word(
    journals: dict[str, tuple[Entry, ...]],
) -> None:
    entries = journals["bench-3"]
    cut = down_times("bench-3", entries)[-1]
    assert cut.healthy_us == 1795221947258770
    before_boot = [entry for entry in entries if entry.time_us < 1795221946000000]
    assert cut.stopped_us == before_boot[-1].time_us


def test_the_first_start_is_no_down_time(journals: dict[str, tuple[Entry, ...]]) -> None:
    started = next(n for n, e in enumerate(journals["bench-1"]) if "Started" in e.message)
    assert down_times("bench-1", journals["bench-1"][: started + 1]) == ()


def test_a_member_that_has_not_come_back_is_still_down(
    journals: dict[str, tuple[Entry, ...]],
) -> None:
    stopping = next(n for n, e in enumerate(journals["bench-1"]) if "Stopping" in e.message)
    (down,) = down_times("bench-1", journals["bench-1"][: stopping + 1])
    assert (down.healthy_us, down.seconds) == (None, None)


def test_a_roll_one_by_one_has_no_overlaps(journals: dict[str, tuple[Entry, ...]]) -> None:
    downs = [down for name in MEMBERS for down in down_times(name, journals[name])[:2]]
    assert len(downs) == 6
    assert overlaps(downs) == ()


@pytest.mark.parametrize("healthy", [6, None])
def test_two_members_down_at_once_overlap(healthy: int | None) -> None:
    first, second = Down("a", 1, healthy), Down("b", 5, 9)
    assert overlaps([second, first]) == ((first, second),)


def test_one_after_the_other_does_not_overlap() -> None:
    assert overlaps([Down("a", 1, 5), Down("b", 5, 9)]) == ()


def test_elections_are_told_once_however_many_members_tell_them(
    journals: dict[str, tuple[Entry, ...]],
) -> None:
    told = elections(journals.values())
    assert [(election.term, election.leader_id) for election in told] == [
        (2, "e10331c893139389"),
        (3, "bcf26ce63c602a51"),  # the roll: one change, when the leader was stopped last
        (4, "d34439bdeba22367"),
        (5, "e10331c893139389"),
        (6, "bcf26ce63c602a51"),
    ]
    assert told[1].time_us == 1795221579795334


def test_only_systemd_itself_can_say_that_a_unit_stops() -> None:
    line = {"__REALTIME_TIMESTAMP": "1", "_PID": "77", "MESSAGE": "Stopping"}
    forged = {**line, "MESSAGE_ID": "de5b426a63be47a7b6ac3eaac82e2f6f"}
    (entry,) = parse_journal(json.dumps(forged).encode())
    assert entry.event == ""


@pytest.mark.parametrize(("value", "text"), [([104, 105, 255], "hi\ufffd"), (None, "")])
def test_messages_that_are_no_text_do_not_break_the_reading(value: object, text: str) -> None:
    line = {"__REALTIME_TIMESTAMP": "1", "_PID": "77", "MESSAGE": value}
    (entry,) = parse_journal(json.dumps(line).encode())
    assert entry.message == text
