"""Manifests: the same text for the same tree, and what leads from one tree to another."""

from __future__ import annotations

import pytest

from quoracy.hosts.bounded import Unreadable
from quoracy.services.manifest import Difference, Entry, Kind, Manifest, difference


def entry(path: str, content: str = "c", kind: Kind = "file", executable: bool = False) -> Entry:
    return Entry(path, kind, executable, len(content) if kind == "file" else 0, content)


def tree(*paths: str) -> Manifest:
    return Manifest.of(entry(path) for path in paths)


def test_sorted_and_read_back() -> None:
    odd = ["b", "a\nb", "ä", "\udcff", '"', "a/b", "-", "\u2028"]
    manifest = Manifest.of([*(entry(path) for path in odd), entry("d", "", "dir")])
    assert manifest == Manifest.of(reversed(manifest.entries))
    assert Manifest.parse(manifest.text) == manifest
    assert len(manifest.text.splitlines()) == len(manifest.entries)
    assert Manifest.parse(manifest.text).digest == manifest.digest


@pytest.mark.parametrize(
    "other",
    [
        entry("a", "d"),
        entry("a", executable=True),
        entry("a", "c", "link"),
        entry("b"),
    ],
)
def test_everything_counts_in_the_digest(other: Entry) -> None:
    assert Manifest.of([other]).digest != tree("a").digest


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "{}",
        "[1]",
        '["a", "file", 0, 1]',
        '["a", "file", 0, "x", ""]',
        '["a", "socket", 0, 1, ""]',
        '["a", ["file"], 0, 1, ""]',
        "[" * 100_000,
    ],
)
def test_something_else_is_refused(text: str) -> None:
    with pytest.raises(Unreadable, match="not a manifest"):
        Manifest.parse(text)


def test_nothing_changed() -> None:
    assert difference(tree("a", "b/c"), tree("b/c", "a")) == Difference((), ())
    assert difference(Manifest(()), tree("a")) == Difference((entry("a"),), ())


def test_content_kind_and_mode_are_changes() -> None:
    before = Manifest.of([entry("a"), entry("b"), entry("c"), entry("same")])
    after = Manifest.of(
        [entry("a", "x"), entry("b", "c", "link"), entry("c", executable=True), entry("same")]
    )
    assert [e.path for e in difference(before, after).changed] == ["a", "b", "c"]
    assert difference(before, after).deleted == ()


def test_emptied_directories_are_not_named() -> None:
    found = difference(tree("a/b/c", "a/b/d", "a/x", "y"), tree("a/x"))
    assert found == Difference((), ("a/b/c", "a/b/d", "y"))


def test_a_directory_that_becomes_empty_or_is_filled() -> None:
    empty = Manifest.of([entry("d", "", "dir")])
    assert difference(tree("d/x"), empty) == Difference(empty.entries, ("d/x",))
    assert difference(empty, tree("d/x")) == Difference(tree("d/x").entries, ())
    assert difference(empty, tree("x")).deleted == ("d",)


def test_what_is_in_the_way_of_another_kind_goes_first() -> None:
    link = Manifest.of([entry("old", "new", "link"), entry("new/x")])
    assert difference(tree("old/x", "old/y/z"), link).deleted == ("old/x", "old/y/z")
    assert difference(tree("a"), tree("a/b")).deleted == ("a",)
    assert difference(tree("a/b"), tree("a")).deleted == ("a/b",)
    empty = Manifest.of([entry("a", "", "dir")])
    assert difference(tree("a"), empty).deleted == ("a",)
    assert difference(empty, tree("a")).deleted == ("a",)


def test_without_what_is_shared() -> None:
    manifest = tree("uploads/.gitkeep", "uploads/a/b", "uploads2", "data/db", "data/other")
    left = manifest.without(["uploads", "data/db"])
    assert [e.path for e in left.entries] == ["data/other", "uploads2"]
    assert manifest.without([]) == manifest
