"""Answers recorded from a practice cluster of etcd 3.5.16."""

from __future__ import annotations

from tests.judges.watch import File, HashKV, Process, parse_files, parse_hashes, parse_process


def test_a_process_is_told_by_its_invocation() -> None:
    shown = "MainPID=2866\nNRestarts=1\nInvocationID=78e247fcce9c42fe9d2afcf68abbc3c7\n"
    assert parse_process(shown) == Process(2866, "78e247fcce9c42fe9d2afcf68abbc3c7", 1)


def test_files_keep_all_digits_of_their_times_and_blanks_in_their_paths() -> None:
    found = "1795221554.7891234560 1795221554.7931234560 1312 5 /etc/etcd/bench/a b\n"
    assert parse_files(found) == {
        "/etc/etcd/bench/a b": File("1795221554.7891234560", "1795221554.7931234560", 1312, 5)
    }


def test_hashes_are_compared_with_their_compact_revision() -> None:
    told = [
        {"Endpoint": "https://198.51.100.34:2379", "HashKV": {"hash": 219472059}},
        {
            "Endpoint": "https://198.51.100.35:2379",
            "HashKV": {"hash": 219472059, "compact_revision": -1},
        },
    ]
    hashes = parse_hashes(told)
    assert hashes == {
        "https://198.51.100.34:2379": (219472059, 0),
        "https://198.51.100.35:2379": (219472059, -1),
    }
    assert not HashKV(1304, hashes).equal
    assert HashKV(1304, dict.fromkeys(hashes, (219472059, -1))).equal
