"""The times of files: with their content, the same everywhere, and never older than what they replace."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from quoracy.services.manifest import Entry, Manifest, difference
from quoracy.services.manifest_times import Serving, retimed

NOW = 1000


def tree(**contents: str) -> Manifest:
    return Manifest.of(Entry(path, "file", False, 1, text) for path, text in contents.items())


def times(manifest: Manifest) -> dict[str, int]:
    return {entry.path: entry.time for entry in manifest.entries}


def test_what_has_not_changed_keeps_its_time_and_the_rest_is_new() -> None:
    first = Serving(()).timed(tree(a="1", b="1"), 10)
    assert times(first) == {"a": 10, "b": 10}
    second = Serving([first]).timed(tree(a="1", b="2", c="1"), 20)
    assert times(second) == {"a": 10, "b": 20, "c": 20}
    assert [entry.path for entry in difference(first, second).changed] == ["b", "c"]


def test_what_comes_back_is_newer_than_what_it_replaces() -> None:
    first = Serving(()).timed(tree(a="1", b="1"), 10)
    second = Serving([first]).timed(tree(a="1", b="2"), 20)
    back = Serving([second]).timed(first, 30)
    assert times(back) == {"a": 10, "b": 30}
    assert retimed(first, back) == {30: ["b"]}


def test_a_run_that_was_cut_off_between_two_hosts_goes_on_with_the_same_times() -> None:
    old = Serving(()).timed(tree(a="1", b="1"), 10)
    begun = Serving([old]).timed(tree(a="1", b="2"), 20)
    assert times(Serving([begun, old]).timed(tree(a="1", b="2"), 30)) == {"a": 10, "b": 20}


def test_where_the_same_file_has_several_times_the_latest_counts_and_is_sent() -> None:
    here, there = (Serving(()).timed(tree(a="1"), time) for time in (10, 20))
    wanted = Serving([here, there]).timed(tree(a="1"), 30)
    assert times(wanted) == {"a": 20}
    assert [entry.path for entry in difference(here, wanted).changed] == ["a"]
    assert difference(there, wanted).changed == ()


def test_a_time_that_nobody_knows_is_none() -> None:
    """As of a release of an earlier version: its files looked anything between 2000 and 2008."""
    assert times(Serving([tree(a="1")]).timed(tree(a="1"), 30)) == {"a": 30}


def test_a_host_that_speaks_of_a_far_future_raises_no_other_hosts_times() -> None:
    here, liar = (Serving(()).timed(tree(a="1"), time) for time in (10, 5000))
    serving = Serving([here, liar], until=2000)
    assert serving.newest == 10
    assert times(serving.timed(tree(a="1"), 30)) == {"a": 10}
    assert times(serving.timed(tree(a="2"), 30)) == {"a": 30}


def test_links_and_directories_have_none() -> None:
    manifest = Manifest.of(
        [Entry("d", "dir", False, 0, ""), Entry("l", "link", False, 0, "elsewhere")]
    )
    assert times(Serving(()).timed(manifest, 30)) == {"d": 0, "l": 0}


def test_times_are_recorded_and_no_part_of_what_a_tree_is() -> None:
    plain, later = tree(a="1"), Serving(()).timed(tree(a="1"), 30)
    assert (plain, plain.digest, plain.text) == (later, later.digest, later.text)
    assert times(Manifest.parse(later.recorded)) == {"a": 30}
    assert times(Manifest.parse(plain.text)) == {"a": 0}
    for odd in ("-1", "8589934592", "true", '"5"', "1.5"):
        line = later.recorded.replace(", 30]", f", {odd}]")
        assert times(Manifest.parse(line)) == {"a": 0}, odd


CONTENTS = st.fixed_dictionaries({name: st.sampled_from("123") for name in "ab"})


@given(st.lists(st.tuples(CONTENTS, st.sets(st.sampled_from(range(3)), min_size=1)), min_size=1))
def test_whatever_is_served_in_turn_by_whichever_hosts_only_rises(
    history: list[tuple[dict[str, str], set[int]]],
) -> None:
    """Three hosts; each operation switches some of them, in this order, and each looks at all of them."""
    hosts: list[Manifest | None] = [None, None, None]
    for now, (contents, switched) in enumerate(history, start=1):
        serving = Serving([one for one in hosts if one is not None])
        wanted = serving.timed(tree(**contents), now)
        for number in switched:
            before = hosts[number]
            for entry in before.entries if before else ():
                new = next(one for one in wanted.entries if one.path == entry.path)
                assert new.time > entry.time if new != entry else new.time >= entry.time
            hosts[number] = wanted
        served = [hosts[number] for number in switched]
        assert len({tuple(times(one).items()) for one in served if one is not None}) == 1


def test_a_mode_that_has_changed_is_another_file() -> None:
    first = Serving(()).timed(tree(a="1"), 10)
    runs = Manifest(tuple(replace(entry, executable=True) for entry in tree(a="1").entries))
    assert times(Serving([first]).timed(runs, 20)) == {"a": 20}
