"""What a tree consists of, and what in it cannot be shipped."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from quoracy.errors import QuoracyError, UsageError
from quoracy.services.code.read import chunks, opened
from quoracy.services.code.scan import scan
from quoracy.services.manifest import Entry
from tests.services.code.code_trees import plant


def paths(root: Path) -> list[str]:
    return [entry.path for entry in scan(root).manifest.entries]


def test_files_links_and_empty_directories(tmp_path: Path) -> None:
    plant(
        tmp_path,
        {b"run.sh": b"#!/bin/sh\n", b"lib/a.js": b"", b"lib/b.js": "a.js", b"empty/er": None},
        executable=[b"run.sh"],
    )
    nothing = hashlib.sha256(b"").hexdigest()
    assert scan(tmp_path).manifest.entries == (
        Entry("empty/er", "dir", False, 0, ""),
        Entry("lib/a.js", "file", False, 0, nothing),
        Entry("lib/b.js", "link", False, 0, "a.js"),
        Entry("run.sh", "file", True, 10, hashlib.sha256(b"#!/bin/sh\n").hexdigest()),
    )


def test_only_the_owners_right_to_execute_counts(tmp_path: Path) -> None:
    plant(tmp_path, {b"a": b"", b"b": b""})
    (tmp_path / "a").chmod(0o611)
    before = scan(tmp_path).manifest
    (tmp_path / "a").chmod(0o6644)
    os.utime(tmp_path / "a", (1, 1))
    os.chown(tmp_path / "b", os.getuid(), os.getgid())
    assert scan(tmp_path).manifest == before
    (tmp_path / "a").chmod(0o700)
    assert scan(tmp_path).manifest.digest != before.digest


@pytest.mark.parametrize(
    "name",
    [
        b"a b",
        b"a\nb",
        b"-rf",
        b"$(reboot)",
        b"'\"`;&|",
        b"\\x",
        b"\xff\xfe",
        b"\xc3\xa4",
        b"~",
        b"*",
    ],
)
def test_names_of_any_bytes(tmp_path: Path, name: bytes) -> None:
    plant(tmp_path, {name: b"x", b"sub/" + name: b"y"})
    wanted = name.decode("utf-8", "surrogateescape")
    assert sorted(paths(tmp_path)) == sorted([wanted, f"sub/{wanted}"])
    assert scan(tmp_path).manifest.text.isascii()


def test_a_directory_whose_content_is_all_ignored_stays(tmp_path: Path) -> None:
    plant(tmp_path, {b"a": b"", b"logs/x.log": b"", b".deployignore": b"logs/*\n"})
    assert paths(tmp_path) == ["a", "logs"]


def test_a_package_of_which_only_byte_code_is_left_is_gone(tmp_path: Path) -> None:
    """Python would import the empty directory; and a fresh checkout has no such one."""
    plant(tmp_path, {b"a": b"", b"old/package/__pycache__/x.pyc": b"", b"older/x.pyc": b""})
    assert paths(tmp_path) == ["a"]


@pytest.mark.parametrize(
    "links",
    [
        {b"l": "a"},
        {b"l": "./d/../a"},
        {b"d/l": "../a"},
        {b"d/l": ".."},
        {b"l": "d/m", b"d/m": "../a"},
        {b"l": "not-there"},
        {b"l": "node_modules/.bin/x"},
        {b"l": "d//b/"},
        {b"l": "d", b"m": "l/b"},
    ],
)
def test_links_that_stay_inside(tmp_path: Path, links: dict[bytes, str]) -> None:
    plant(tmp_path, {b"a": b"", b"d/b": b"", **links})
    found = {e.path: e.content for e in scan(tmp_path).manifest.entries if e.kind == "link"}
    assert found == {name.decode(): target for name, target in links.items()}


@pytest.mark.parametrize(
    ("links", "where", "words"),
    [
        ({b"l": "/etc/passwd"}, "l", "is absolute"),
        ({b"l": "../x"}, "l", "leads outside"),
        ({b"d/l": "../../x"}, "d/l", "leads outside"),
        ({b"l": "d/../.."}, "l", "leads outside"),
        ({b"l": "l"}, "l", "leads back to itself"),
        ({b"l": "m", b"m": "d/n", b"d/n": "../l"}, "d/n", "leads back to itself"),
        ({b"l": "l/x"}, "l", "leads back to itself"),
        # Inside by its spelling, outside for the kernel: `up` is the root itself.
        ({b"d/up": "..", b"d/l": "up/../a"}, "d/l", "leads outside"),
    ],
)
def test_links_that_do_not(tmp_path: Path, links: dict[bytes, str], where: str, words: str) -> None:
    plant(tmp_path, {b"a": b"", b"d/b": b"", **links})
    with pytest.raises(UsageError, match=words) as refused:
        scan(tmp_path)
    assert refused.value.where == where


def test_a_directory_behind_a_link_is_not_read_twice(tmp_path: Path) -> None:
    plant(tmp_path, {b"d/a": b"", b"l": "d"})
    assert paths(tmp_path) == ["d/a", "l"]


def test_pipes_and_sockets_are_refused(tmp_path: Path) -> None:
    plant(tmp_path, {b"a": b""})
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="neither file, link nor directory") as refused:
        scan(tmp_path)
    assert refused.value.where == "pipe"
    (tmp_path / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        with pytest.raises(UsageError, match="neither file, link nor directory"):
            scan(tmp_path)


def test_no_such_directory_a_file_and_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file or directory"):
        scan(tmp_path / "missing")
    with pytest.raises(UsageError, match="nothing to ship"):
        scan(plant(tmp_path / "empty", {b"a/b": None}))
    with pytest.raises(UsageError, match="nothing to ship"):
        scan(plant(tmp_path / "ignored", {b"a": b"", b".deployignore": b"*\n"}))
    plant(tmp_path, {b"file": b""})
    with pytest.raises(UsageError, match="not a directory"):
        scan(tmp_path / "file")
    with pytest.raises(UsageError, match="null byte"):
        scan(Path("\0"))


@contextlib.contextmanager
def somebody() -> Iterator[None]:
    """Root may read everything; nobody else may."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("name", ["sub/secret", "sub"])
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    plant(tmp_path, {b"a": b"", b"sub/secret": b"x"})
    for above in (tmp_path, *tmp_path.parents[:2]):
        above.chmod(0o755)
    (tmp_path / name).chmod(0)
    with somebody(), pytest.raises(UsageError, match="Permission denied") as refused:
        scan(tmp_path)
    assert refused.value.where == name


@pytest.mark.parametrize("how", ["longer", "same size", "shorter"])
def test_a_file_that_changes_while_it_is_read(tmp_path: Path, how: str) -> None:
    plant(tmp_path, {b"a": b"x" * 200_000})
    file = tmp_path / "a"

    def read_on() -> None:
        with opened(os.fsencode(tmp_path), b"a") as (descriptor, _):
            for number, _ in enumerate(chunks(descriptor)):
                if number == 1:
                    size = {"longer": 300_000, "same size": 200_000, "shorter": 1000}[how]
                    file.write_bytes(b"y" * size)

    with pytest.raises(QuoracyError, match="changed while it was read") as refused:
        read_on()
    assert refused.value.where == "a"
    assert "run again" in refused.value.next_step


def test_a_file_that_was_replaced_before_it_is_read(tmp_path: Path) -> None:
    """A link or pipe in its place is not followed and does not hang; a file that is gone is told."""
    plant(tmp_path, {b"link": "/etc/passwd"})
    os.mkfifo(tmp_path / "pipe")
    for name in (b"link", b"pipe", b"gone"):
        with pytest.raises(QuoracyError, match="changed while it was read"):
            opened(os.fsencode(tmp_path), name).__enter__()


def test_nothing_is_ignored_of_what_was_made(tmp_path: Path) -> None:
    plant(tmp_path, {b"node_modules/a/.env": b"", b"x.pyc": b"", b".deployignore": b"*\n"})
    made = scan(tmp_path, ignoring=False).manifest
    assert [e.path for e in made.entries] == [".deployignore", "node_modules/a/.env", "x.pyc"]
    assert scan(plant(tmp_path / "bare", {}), ignoring=False).manifest.entries == ()


def test_many_small_files_and_deep_directories(tmp_path: Path) -> None:
    deep = b"/".join([b"d"] * 900) + b"/x"
    plant(tmp_path, {b"%d/%d" % (n % 100, n): b"%d" % n for n in range(20_000)} | {deep: b""})
    manifest = scan(tmp_path).manifest
    assert len(manifest.entries) == 20_001
    assert scan(tmp_path).manifest.digest == manifest.digest
