from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.judges.writes import Write, WriterReport, key_of, longest_silence


def report(*writes: Write, ended: float = 100.0) -> WriterReport:
    return WriterReport("w/", writes, ended)


def test_a_report_counts_what_was_acknowledged_given_up_and_tried_again() -> None:
    told = report(Write(0, 0.0, 0.1, 1), Write(1, 1.0, 3.5, 3), Write(2, 2.0, None, 9))
    assert (told.acknowledged, told.failed, told.retries) == (2, 1, 10)


def test_the_longest_stall_is_the_longest_wait_of_a_write_from_when_it_was_due() -> None:
    assert report(Write(0, 0.0, 0.1, 1), Write(1, 1.0, 3.5, 3)).longest_stall_s == 2.5


def test_a_write_that_was_given_up_waited_until_the_end() -> None:
    assert report(Write(0, 10.0, None, 9), ended=40.0).longest_stall_s == 30.0


def test_without_writes_nothing_stalled() -> None:
    assert report().longest_stall_s == 0.0
    assert report().longest_silence_s == 0.0


def test_silence_counts_only_while_a_write_waits() -> None:
    # Nothing was due between 0.1 and 5: that is no silence.
    assert longest_silence([Write(0, 0.0, 0.1, 1), Write(1, 5.0, 5.2, 1)], 5.2) == 5.2 - 5.0


def test_silence_ends_with_any_acknowledgement() -> None:
    # The first write waits for 3 s, but others come through meanwhile.
    writes = [Write(0, 0.0, 3.0, 3), Write(1, 0.5, 1.0, 1), Write(2, 1.5, 2.0, 1)]
    assert longest_silence(writes, 3.0) == 1.0


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0, 50)), max_size=20))
def test_silence_is_never_longer_than_the_longest_stall(times: list[tuple[float, float]]) -> None:
    writes = [Write(n, due, due + wait, 1) for n, (due, wait) in enumerate(times)]
    told = report(*writes)
    assert told.longest_silence_s <= told.longest_stall_s


def test_lost_is_what_was_acknowledged_and_is_gone_or_changed() -> None:
    told = report(
        Write(0, 0.0, 0.1, 1),
        Write(1, 1.0, 1.1, 1),
        Write(2, 2.0, 2.1, 1),
        Write(3, 3.0, None, 9),
    )
    found = {key_of("w/", 0): "0", key_of("w/", 1): "7"}
    assert told.lost(found) == (key_of("w/", 1), key_of("w/", 2))


def test_keys_sort_by_number() -> None:
    assert sorted(key_of("w/", n) for n in (10, 9, 100)) == [key_of("w/", n) for n in (9, 10, 100)]
