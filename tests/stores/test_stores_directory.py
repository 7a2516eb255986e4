"""DirectoryStore on a real file system."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from quoracy.errors import StoreError, UsageError
from quoracy.stores.directory import DirectoryStore

CONTENT = b"one" * 700_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "made" / "when-needed"


@pytest.fixture
def store(root: Path) -> DirectoryStore:
    return DirectoryStore(root)


def files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


@pytest.mark.parametrize("chunks", [[], [b""], [CONTENT], [b"a", b"", CONTENT]])
def test_what_was_put_is_got(store: DirectoryStore, root: Path, chunks: list[bytes]) -> None:
    content = b"".join(chunks)
    done = store.put("demo/2026/x.db", chunks)
    assert (done.key, done.size) == ("demo/2026/x.db", len(content))
    assert done.sha256 == hashlib.sha256(content).hexdigest()
    assert done.url == (root / "demo/2026/x.db").as_uri() == store.url("demo/2026/x.db")
    assert b"".join(store.get("demo/2026/x.db")) == content


def test_only_the_owner_reads_snapshots(store: DirectoryStore, root: Path) -> None:
    before = os.umask(0)
    try:
        store.put("demo/x.db", [b"x"])
    finally:
        os.umask(before)
    assert (root / "demo/x.db").stat().st_mode & 0o777 == 0o600
    assert {path.stat().st_mode & 0o777 for path in (root, root / "demo")} == {0o700}


def test_put_replaces(store: DirectoryStore, root: Path) -> None:
    store.put("x", [b"older"])
    store.put("x", [b"newer"])
    assert b"".join(store.get("x")) == b"newer"
    assert files(root) == ["x"]


def test_other_content_than_announced_is_not_stored(store: DirectoryStore, root: Path) -> None:
    store.put("x", [b"older"])
    found = hashlib.sha256(b"newer").hexdigest()
    with pytest.raises(StoreError, match=f"sha256 {found}, expected {'0' * 64}"):
        store.put("x", [b"newer"], sha256="0" * 64)
    assert b"".join(store.get("x")) == b"older"
    assert files(root) == ["x"]


def test_announced_digest_may_be_in_capitals(store: DirectoryStore) -> None:
    announced = hashlib.sha256(b"x").hexdigest().upper()
    assert store.put("x", [b"x"], sha256=announced).sha256 == announced.lower()


def broken_source() -> Iterator[bytes]:
    yield b"x"
    raise OSError("the connection is gone")


def test_failing_source_is_not_blamed_on_the_disk(store: DirectoryStore, root: Path) -> None:
    with pytest.raises(StoreError, match="could not be read to its end: the connection is gone"):
        store.put("x", broken_source())
    assert files(root) == []


KILLED_IN_PUT = """
import os, signal, sys
from pathlib import Path
from quoracy.stores.directory import DirectoryStore
def chunks():
    yield b"x" * 100_000
    os.kill(os.getpid(), signal.SIGKILL)
DirectoryStore(Path(sys.argv[1])).put("demo/x.db", chunks())
"""


def test_killed_put_leaves_nothing_to_list_and_the_next_one_cleans_up(
    store: DirectoryStore, root: Path
) -> None:
    killed = subprocess.run((sys.executable, "-c", KILLED_IN_PUT, str(root)), check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(files(root)) == 1
    assert store.list() == []
    store.put("other/y.db", [b"y"])
    assert files(root) == ["other/y.db"]


def test_put_during_a_put_leaves_it_alone(store: DirectoryStore, root: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"outer "
        store.put("inner", [b"inner"])
        yield b"again"

    store.put("outer", chunks())
    assert b"".join(store.get("outer")) == b"outer again"
    assert files(root) == ["inner", "outer"]


def test_list_is_sorted_and_takes_a_text_as_prefix(store: DirectoryStore, root: Path) -> None:
    for key in ("b/1.db", "a/2.db", "a/10.db", "ab/1.db"):
        store.put(key, [key.encode()])
    (root / ".hidden").mkdir()
    (root / ".hidden" / "x").touch()
    os.utime(root / "a/2.db", (1_000_000_000, 1_000_000_000))
    assert [each.key for each in store.list()] == ["a/10.db", "a/2.db", "ab/1.db", "b/1.db"]
    assert [each.key for each in store.list("a")] == ["a/10.db", "a/2.db", "ab/1.db"]
    found = store.list("a/2")[0]
    assert (found.size, found.modified) == (6, datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC))


def test_list_of_no_directory_is_empty(store: DirectoryStore) -> None:
    assert store.list() == []


def test_delete_is_done_once_or_twice(store: DirectoryStore) -> None:
    store.put("demo/x.db", [b"x"])
    store.delete("demo/x.db")
    store.delete("demo/x.db")
    assert store.list() == []


def test_missing_object(store: DirectoryStore) -> None:
    with pytest.raises(StoreError, match="no such object") as caught:
        list(store.get("x"))
    assert caught.value.where == store.url("x")


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../x",
        "a/..",
        ".",
        "./a",
        "a//b",
        "a/",
        ".x",
        "a/.b",
        "a\\b",
        "a\nb",
        "a\0b",
    ],
)
def test_keys_that_leave_or_hide(store: DirectoryStore, root: Path, key: str) -> None:
    for operation in (
        lambda: store.put(key, [b"x"]),
        lambda: list(store.get(key)),
        lambda: store.delete(key),
        lambda: store.url(key),
    ):
        with pytest.raises(UsageError, match="cannot be the key"):
            operation()
    assert not root.exists()


def test_root_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be used") as caught:
        DirectoryStore(tmp_path / "file").put("x", [b"x"])
    assert "permissions" in caught.value.next_step


def test_full_disk(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    subprocess.run(("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(tmp_path)), check=True)
    try:
        store = DirectoryStore(tmp_path)
        store.put("small", [b"x"])
        with pytest.raises(StoreError, match="No space left on device"):
            store.put("large", [bytes(100_000)] * 10)
        assert files(tmp_path) == ["small"]
    finally:
        subprocess.run(("umount", str(tmp_path)), check=True)
