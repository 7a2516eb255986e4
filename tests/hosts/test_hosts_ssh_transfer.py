from __future__ import annotations

import hashlib
import itertools
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from quoracy.errors import CommandFailed, CommandTimeout, RemoteError, StoreError
from quoracy.hosts.ssh import SshHost

PIECE = bytes(range(256)) * 4096  # 1 MiB
PIECES = 50
MOST_MEMORY = 16 * 1024 * 1024


@pytest.fixture
def peak_memory() -> Iterator[None]:
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MOST_MEMORY


def sha256_of_all() -> str:
    digest = hashlib.sha256()
    for _ in range(PIECES):
        digest.update(PIECE)
    return digest.hexdigest()


@pytest.mark.usefixtures("peak_memory")
def test_fifty_megabytes_arrive_whole_without_being_held(host: SshHost) -> None:
    result = host.send("sha256sum", (PIECE for _ in range(PIECES)), what="upload")
    assert result.stdout.split()[0].decode() == sha256_of_all()


@pytest.mark.usefixtures("peak_memory")
def test_fifty_megabytes_come_back_whole_without_being_held(host: SshHost, tmp_path: Path) -> None:
    file = tmp_path / "data"
    with file.open("wb") as data:
        for _ in range(PIECES):
            data.write(PIECE)
    digest = hashlib.sha256()
    for chunk in host.receive(f"cat {file}", what="download", limit=PIECES * len(PIECE)):
        digest.update(chunk)
    assert digest.hexdigest() == sha256_of_all()


def test_a_command_that_answers_while_it_reads(host: SshHost) -> None:
    result = host.send("cat", (PIECE for _ in range(8)), what="echo")
    assert result.stdout == PIECE * 8


def test_a_script_longer_than_an_argument_may_be(host: SshHost) -> None:
    quoted = "it's " * 100_000
    script = f': "{quoted}"\nset -eu\nsha256sum'
    result = host.send(script, (PIECE for _ in range(PIECES)), what="upload")
    assert result.stdout.split()[0].decode() == sha256_of_all()


def test_a_command_that_stops_reading_ends_the_upload(host: SshHost) -> None:
    result = host.send("head -c 3", (PIECE for _ in range(8)), what="look at the start")
    assert result.stdout == PIECE[:3]


def test_an_upload_that_the_host_refuses_is_a_failure(host: SshHost) -> None:
    with pytest.raises(CommandFailed, match="upload failed with exit code 28: disk full"):
        host.send("echo disk full >&2; exit 28", (PIECE for _ in range(8)), what="upload")


def test_an_error_of_the_source_is_passed_on_and_the_host_stays_usable(host: SshHost) -> None:
    def broken() -> Iterator[bytes]:
        yield PIECE
        raise StoreError("the object has vanished")

    with pytest.raises(StoreError, match="vanished"):
        host.send("cat", broken(), what="upload")
    assert host.run("echo alive", what="try").stdout == b"alive\n"


def test_an_upload_that_takes_too_long_is_stopped(host: SshHost) -> None:
    with pytest.raises(CommandTimeout):
        host.send("sleep 60", (PIECE for _ in range(8)), what="upload", timeout=1)


def test_a_download_that_fails_raises_after_its_last_chunk(host: SshHost) -> None:
    chunks = host.receive("printf abc; echo lost the rest >&2; exit 3", what="download")
    assert next(chunks) == b"abc"
    with pytest.raises(CommandFailed, match="exit code 3: lost the rest"):
        next(chunks)


def test_a_download_keeps_the_end_of_a_long_complaint(host: SshHost) -> None:
    script = "head -c 5000000 /dev/zero >&2; echo the cause >&2; exit 1"
    with pytest.raises(CommandFailed, match="the cause"):
        list(host.receive(script, what="download"))


def test_a_download_that_is_larger_than_it_may_be_is_not_read_on(host: SshHost) -> None:
    chunks = host.receive("cat /dev/zero", what="download", limit=3 * 1024**2)
    seen: list[int] = []
    with pytest.raises(RemoteError, match="it printed more than 3 MiB, and was not read on"):
        seen.extend(map(len, chunks))
    assert sum(seen) <= 3 * 1024**2
    assert host.run("echo alive", what="try").stdout == b"alive\n"


@pytest.mark.parametrize("stream", ["cat /dev/zero", "cat /dev/zero >&2"])
def test_an_answer_without_an_end_is_not_read_on(host: SshHost, stream: str) -> None:
    with pytest.raises(RemoteError, match="look: it printed more than 32 MiB") as error:
        host.run(stream, what="look")
    assert error.value.where == host.name
    with pytest.raises(RemoteError, match="upload: it printed more than 32 MiB"):
        host.send(stream, itertools.repeat(PIECE), what="upload")
    assert host.run("echo alive", what="try").stdout == b"alive\n"


def test_downloads_that_are_given_up_free_their_channels(host: SshHost) -> None:
    for _ in range(12):
        chunks = host.receive("cat /dev/zero", what="download")
        assert next(chunks)
        chunks.close()  # type: ignore[attr-defined]
    assert host.run("echo alive", what="try").stdout == b"alive\n"
