"""The stream, unpacked by GNU tar as the hosts do it."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quoracy.errors import QuoracyError
from quoracy.services.code.scan import scan
from quoracy.services.code.stream import DELETED, deleted_list, release_stream
from quoracy.services.manifest import Manifest, difference
from tests.services.code.code_trees import Content, plant, unpack

SHIPPED: dict[bytes, Content] = {
    b"index.js": b"x" * 70_000,
    b"bin/run": b"#!/bin/sh\n",
    b"empty": None,
    b"nothing": b"",
    b"l": "bin/run",
    b"a\nb $(reboot)": b"1",
    b"-rf": b"2",
    b"\xff\\t": b"3",
    b"n" * 255: b"4",
    b"/".join([b"d" * 60] * 5): b"5",
    b"long": "d" * 60 + "/" + "d" * 60,
}


def everything(root: Path) -> Iterator[bytes]:
    return release_stream(root, scan(root).manifest.entries)


def test_arrives_as_it_was(tmp_path: Path) -> None:
    source = plant(tmp_path / "source", SHIPPED, executable=[b"bin/run"])
    assert unpack(everything(source), tmp_path / "target").returncode == 0
    assert scan(tmp_path / "target").manifest == scan(source).manifest
    assert (tmp_path / "target" / "empty").is_dir()


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    one = plant(tmp_path / "one", SHIPPED)
    other = plant(tmp_path / "other", dict(reversed(SHIPPED.items())))
    for path in other.rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.utime(path, (1, 1))
            path.chmod(path.stat().st_mode & 0o700)
    assert b"".join(everything(one)) == b"".join(everything(other))


def test_chunks_are_small_and_few(tmp_path: Path) -> None:
    source = plant(tmp_path, {b"%d" % n: b"x" * 100 for n in range(1000)})
    sizes = [len(chunk) for chunk in everything(source)]
    assert set(sizes[:-1]) == {64 * 1024}
    assert sizes[-1] <= 64 * 1024


def test_owner_modes_and_times(tmp_path: Path) -> None:
    source = plant(tmp_path / "s", {b"d/run": b"1", b"a": b"2", b"b": b"3"}, executable=[b"d/run"])
    listed = subprocess.run(
        ["tar", "-t", "-v", "--numeric-owner", "--utc", "--full-time", "-f", "-"],
        input=b"".join(everything(source)),
        capture_output=True,
        check=True,
    )
    rows = [line.split() for line in listed.stdout.decode().splitlines()]
    assert [(row[0], row[1], row[5]) for row in rows] == [
        ("-rw-r--r--", "0/0", "a"),
        ("-rw-r--r--", "0/0", "b"),
        ("-rwxr-xr-x", "0/0", "d/run"),
    ]
    times = [f"{row[3]} {row[4]}" for row in rows]
    assert len(set(times)) == 3  # the same size and another content: another time, another ETag
    assert all("2000-01-01" <= time < "2009" for time in times)


def test_deleted_paths_come_first_and_extra_files_last(tmp_path: Path) -> None:
    source = plant(tmp_path / "source", {b"a": b"1"})
    chunks = release_stream(
        source,
        scan(source).manifest.entries,
        deleted=("x\ny", "\udcff"),
        extra={".quoracy/environment": (b"A=1", 0o600), ".quoracy/manifest": (b"m" * 600, 0o644)},
    )
    archive = b"".join(chunks)
    listed = subprocess.run(["tar", "-t"], input=archive, capture_output=True, check=True)
    names = listed.stdout.decode().splitlines()
    assert names[:2] == [DELETED, "a"]
    assert names[-2:] == [".quoracy/environment", ".quoracy/manifest"]
    assert unpack([archive], tmp_path / "target").returncode == 0
    assert (tmp_path / "target" / DELETED).read_bytes() == b"x\ny\0\xff\0"
    assert (tmp_path / "target/.quoracy/manifest").read_bytes() == b"m" * 600
    assert (tmp_path / "target/.quoracy/environment").stat().st_mode & 0o777 == 0o600


def test_the_list_of_deleted_paths() -> None:
    assert deleted_list([]) == b""
    assert deleted_list(["a b", "ä", "\udcff"]) == b"a b\0\xc3\xa4\0\xff\0"


def test_nothing_to_send_is_an_archive_too(tmp_path: Path) -> None:
    assert unpack(release_stream(tmp_path, ()), tmp_path / "target").returncode == 0
    assert not any((tmp_path / "target").iterdir())


def _other_content(file: Path) -> None:
    file.write_bytes(b"y" * file.stat().st_size)


def _longer(file: Path) -> None:
    file.write_bytes(b"x" * (file.stat().st_size + 1))


def _link(file: Path) -> None:
    file.unlink()
    file.symlink_to("/etc/passwd")


@pytest.mark.parametrize("change", [_other_content, _longer, _link, Path.unlink])
@pytest.mark.parametrize("size", [0, 1, 512, 64 * 1024, 200_000])
def test_what_changed_since_the_scan_is_refused_and_never_passes_for_whole(
    tmp_path: Path, change: Callable[[Path], None], size: int
) -> None:
    """With every number of members before it, so that it is also cut at the seams."""
    if change is _other_content and not size:
        change = _longer
    for before in range(3):
        source = plant(tmp_path / f"source{before}", {b"b": b"x" * size, b"c": b"later"})
        plant(source, {b"a%d" % n: b"1" * 512 for n in range(before)})
        entries = scan(source).manifest.entries
        change(source / "b")
        received: list[bytes] = []
        with pytest.raises(QuoracyError, match="changed while it was read") as refused:
            drain(release_stream(source, entries), received)
        assert refused.value.where == "b"
        assert "run again" in refused.value.next_step
        assert unpack(received, tmp_path / f"target{before}").returncode == 2
        assert not (tmp_path / f"target{before}" / "c").exists()


def drain(chunks: Iterator[bytes], received: list[bytes]) -> None:
    """Keep also what came before an error."""
    for chunk in chunks:
        received.append(chunk)


def test_a_file_that_changes_while_it_is_sent(tmp_path: Path) -> None:
    source = plant(tmp_path / "source", {b"a": b"x" * 1_000_000})
    stream = everything(source)
    sent = list(itertools.islice(stream, 3))
    (source / "a").write_bytes(b"y" * 1_000_000)
    with pytest.raises(QuoracyError, match="changed while it was read"):
        drain(stream, sent)
    assert unpack(sent, tmp_path / "target").returncode == 2


def test_a_large_file_is_never_held_in_memory(tmp_path: Path) -> None:
    source = plant(tmp_path, {b"a": b""})
    with (source / "large").open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    tracemalloc.start()
    try:
        entries = scan(source).manifest.entries
        total = sum(len(chunk) for chunk in release_stream(source, entries))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total > 100 * 1024 * 1024
    assert peak < 2 * 1024 * 1024


NAME = st.sampled_from([b"a", b"b", b"c", b"x\ny", b"-f", b"$(a)", b"\xff", b"l" * 120])
PATH = st.lists(NAME, min_size=1, max_size=4).map(b"/".join)
CONTENT = st.one_of(
    st.none(), st.binary(max_size=3), st.just(b"z" * 1500), st.sampled_from(["a", "b/c", "."])
)
TREE = st.dictionaries(PATH, st.tuples(CONTENT, st.booleans()), max_size=8)


def planted(root: Path, drawn: dict[bytes, tuple[Content, bool]]) -> Manifest | None:
    """The tree on disk, without paths below what is no directory; None when it cannot be shipped."""
    tree: dict[bytes, Content] = {}
    for path in sorted(drawn, key=len):
        above = [path.rsplit(b"/", n)[0] for n in range(1, path.count(b"/") + 1)]
        if not any(tree.get(one) is not None for one in above):
            tree[path] = drawn[path][0]
    plant(root, tree, executable=[path for path, (_, runs) in drawn.items() if runs])
    try:
        return scan(root).manifest
    except QuoracyError:  # nothing in it, or its links go round in circles
        return None


@given(before=TREE, dropped=st.sets(PATH, max_size=3), more=TREE)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_tree_becomes_any_other(
    before: dict[bytes, tuple[Content, bool]],
    dropped: set[bytes],
    more: dict[bytes, tuple[Content, bool]],
) -> None:
    root = Path(tempfile.mkdtemp())
    try:
        old = planted(root / "old", before) or Manifest(())
        kept = {path: found for path, found in before.items() if path not in dropped}
        new = planted(root / "new", kept | more)
        if new is None:
            return
        assert Manifest.parse(new.text) == new
        host = root / "host"
        assert unpack(release_stream(root / "old", old.entries), host).returncode == 0
        change = difference(old, new)
        stream = release_stream(root / "new", change.changed, deleted=change.deleted)
        unpacked = unpack(stream, host, deleted=change.deleted)
        assert unpacked.returncode == 0, unpacked.stderr
        shutil.rmtree(host / ".quoracy", ignore_errors=True)
        assert scan(host).manifest == new
    finally:
        shutil.rmtree(root)


BEFORE: dict[bytes, Content] = {
    **{b"same/a": b"1", b"same/b": b"2", b"file": b"3", b"dir/x/y": b"4", b"dir/z": b"5"},
    **{b"link": "same", b"was": None, b"gone/a/b": b"6", b"linked/x": b"7", b"full/a": b"8"},
}
AFTER: dict[bytes, Content] = {
    **{b"same/a": b"changed", b"same/b": b"2", b"file/in": b"3", b"dir": b"a file"},
    **{b"link/b": b"own", b"was/not": b"5", b"linked": "same", b"full": None},
}


def test_kinds_change_and_the_rest_stays(tmp_path: Path) -> None:
    """Through links nothing is written and nothing deleted; the old release keeps its own files."""
    old, new = plant(tmp_path / "old", BEFORE), plant(tmp_path / "new", AFTER)
    before, after = scan(old).manifest, scan(new).manifest
    subprocess.run(["cp", "-al", str(old), str(tmp_path / "host")], check=True)
    change = difference(before, after)
    stream = release_stream(new, change.changed, deleted=change.deleted)
    assert unpack(stream, tmp_path / "host", deleted=change.deleted).returncode == 0
    shutil.rmtree(tmp_path / "host" / ".quoracy")
    assert scan(tmp_path / "host").manifest == after
    assert scan(old).manifest == before
