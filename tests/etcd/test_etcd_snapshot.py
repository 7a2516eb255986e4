"""The check of a snapshot's sha256 trailer, while it streams by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from quoracy.errors import BackupFailed
from quoracy.etcd.snapshot import TrailerCheck

DATABASE = bytes(range(256)) * 2 * 40  # 40 pages of 512 bytes
WHOLE = DATABASE + hashlib.sha256(DATABASE).digest()


def chunks(content: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


@pytest.mark.parametrize("size", [1, 31, 32, 33, 512, 4096, len(WHOLE)])
def test_a_whole_snapshot_passes_unchanged_in_chunks_of_any_size(size: int) -> None:
    check = TrailerCheck()
    assert b"".join(check.watch(chunks(WHOLE, size))) == WHOLE
    assert check.size == len(WHOLE)


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(WHOLE[:-1], id="one byte short"),
        pytest.param(WHOLE[:-512], id="one page short"),
        pytest.param(DATABASE, id="no trailer"),
        pytest.param(b"\1" + WHOLE[1:], id="one byte changed"),
        pytest.param(WHOLE[:-1] + bytes([WHOLE[-1] ^ 1]), id="trailer changed"),
        pytest.param(b"", id="empty"),
        pytest.param(b"x" * 20, id="shorter than a trailer"),
    ],
)
def test_a_damaged_snapshot_is_refused(damaged: bytes) -> None:
    with pytest.raises(BackupFailed, match="damaged"):
        list(TrailerCheck().watch(chunks(damaged, 100)))
