"""S3Store against a real S3 service, and against one that is not there."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from quoracy.errors import StoreError, UsageError
from quoracy.stores.s3_upload import COPY_BYTES, PART_BYTES, in_parts
from tests.stores.swift_service import PAGE_KEYS, S3Service

MIB = 1024 * 1024


def pieces(size: int) -> Iterator[bytes]:
    """Content of `size` bytes in which no two pieces are alike, in pieces that fit no part."""
    step = 3 * MIB + 17
    for number, start in enumerate(range(0, size, step)):
        yield bytes([number % 251]) * min(step, size - start)


def digest(size: int) -> str:
    return hashlib.sha256(b"".join(pieces(size))).hexdigest()


def stored(service: S3Service, bucket: str) -> dict[str, int]:
    entries = service.client().list_objects_v2(Bucket=bucket).get("Contents", [])
    return {entry["Key"]: entry["Size"] for entry in entries}


def unfinished(service: S3Service, bucket: str) -> list[str]:
    uploads = service.client().list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    return [upload["UploadId"] for upload in uploads]


@pytest.mark.parametrize(
    "size", [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES + 5]
)
@pytest.mark.parametrize("announced", [True, False])
def test_what_was_put_is_got(
    s3_service: S3Service, bucket: str, size: int, announced: bool
) -> None:
    store = s3_service.store(bucket, "backups/")
    done = store.put("demo/x.db", pieces(size), sha256=digest(size) if announced else None)
    assert (done.key, done.size, done.sha256) == ("demo/x.db", size, digest(size))
    assert done.url == f"s3://{bucket}/backups/demo/x.db"
    assert stored(s3_service, bucket) == {"backups/demo/x.db": size}
    assert b"".join(store.get("demo/x.db")) == b"".join(pieces(size))
    head = s3_service.client().head_object(Bucket=bucket, Key="backups/demo/x.db")
    assert head["Metadata"] == {"sha256": digest(size)}
    assert unfinished(s3_service, bucket) == []


def test_digest_of_a_large_object_is_recorded_by_several_copies(
    s3_service: S3Service, bucket: str
) -> None:
    store = s3_service.store(bucket)
    size = COPY_BYTES + 5 * MIB + 3
    done = store.put("big", pieces(size))
    head = s3_service.client().head_object(Bucket=bucket, Key="big")
    assert (head["ContentLength"], head["Metadata"]) == (size, {"sha256": done.sha256})
    assert hashlib.sha256(b"".join(store.get("big"))).hexdigest() == digest(size)


def test_upload_holds_few_parts_in_memory(s3_service: S3Service, bucket: str) -> None:
    store = s3_service.store(bucket)
    store.put("warm-up", [b"x"])
    size = 12 * PART_BYTES
    tracemalloc.start()
    try:
        store.put("big", (b"x" * MIB for _ in range(size // MIB)), sha256=None)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5 * PART_BYTES


@pytest.mark.parametrize("size", [10, 2 * PART_BYTES])
def test_other_content_than_announced_is_not_stored(
    s3_service: S3Service, bucket: str, size: int
) -> None:
    store = s3_service.store(bucket)
    with pytest.raises(StoreError, match=f"sha256 {digest(size)}, expected {'0' * 64}"):
        store.put("x", pieces(size), sha256="0" * 64)
    assert stored(s3_service, bucket) == {}
    assert unfinished(s3_service, bucket) == []


def broken_source(error: Exception) -> Iterator[bytes]:
    yield b"x" * 2 * PART_BYTES
    raise error


def test_failing_source_aborts_the_upload(s3_service: S3Service, bucket: str) -> None:
    store = s3_service.store(bucket)
    with pytest.raises(StoreError, match="could not be read to its end: the disk is gone"):
        store.put("x", broken_source(OSError("the disk is gone")))
    assert stored(s3_service, bucket) == {}
    assert unfinished(s3_service, bucket) == []


def test_interrupt_aborts_the_upload(s3_service: S3Service, bucket: str) -> None:
    def interrupted() -> Iterator[bytes]:
        yield b"x" * 2 * PART_BYTES
        assert len(unfinished(s3_service, bucket)) == 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        s3_service.store(bucket).put("x", interrupted())
    assert unfinished(s3_service, bucket) == []


def test_failed_upload_leaves_the_older_object(s3_service: S3Service, bucket: str) -> None:
    store = s3_service.store(bucket)
    store.put("x", [b"older"])
    with pytest.raises(StoreError):
        store.put("x", pieces(2 * PART_BYTES), sha256="0" * 64)
    assert b"".join(store.get("x")) == b"older"


def test_list_reads_all_pages_and_only_its_prefix(s3_service: S3Service, bucket: str) -> None:
    store, other = s3_service.store(bucket, "one"), s3_service.store(bucket, "one-more")
    keys = [f"demo/{number:02}.db" for number in range(2 * PAGE_KEYS + 2)]
    for key in reversed(keys):
        store.put(key, [key.encode()])
    store.put("other/1.db", [b"x"])
    other.put("demo/1.db", [b"x"])
    listed = store.list("demo/")
    assert [(each.key, each.size) for each in listed] == [(key, 10) for key in keys]
    age = datetime.now(UTC) - listed[0].modified
    assert abs(age) < timedelta(hours=1)
    assert [each.key for each in store.list("other/")] == ["other/1.db"]
    assert len(store.list()) == len(keys) + 1


def test_delete_is_done_once_or_twice(s3_service: S3Service, bucket: str) -> None:
    store = s3_service.store(bucket)
    store.put("x", [b"x"])
    store.put("large", pieces(PART_BYTES + 1))
    for key in ("x", "x", "large"):
        store.delete(key)
    assert store.list() == []


def test_damaged_object_is_told_from_a_good_one(s3_service: S3Service, bucket: str) -> None:
    wrong = hashlib.sha256(b"good").hexdigest()
    s3_service.client().put_object(Bucket=bucket, Key="x", Body=b"bad!", Metadata={"sha256": wrong})
    with pytest.raises(StoreError, match=f"it was stored with {wrong}"):
        b"".join(s3_service.store(bucket).get("x"))


def test_object_of_another_program_can_be_read(s3_service: S3Service, bucket: str) -> None:
    s3_service.client().put_object(Bucket=bucket, Key="x", Body=b"content")
    assert b"".join(s3_service.store(bucket).get("x")) == b"content"


def test_keys_may_not_leave_the_prefix(s3_service: S3Service, bucket: str) -> None:
    store = s3_service.store(bucket, "mine")
    for operation in (
        lambda: store.put("../x", [b"x"]),
        lambda: list(store.get("/x")),
        lambda: store.delete("a//b"),
        lambda: store.url("a/../../b"),
    ):
        with pytest.raises(UsageError):
            operation()
    assert stored(s3_service, bucket) == {}


def test_secret_is_not_shown(s3_service: S3Service) -> None:
    store = s3_service.store("b", secret_key="not-to-be-seen")
    assert "not-to-be-seen" not in repr(store)


def test_parts_are_whole_but_the_last() -> None:
    assert [len(part) for part in in_parts(pieces(2 * PART_BYTES + 5))] == [
        PART_BYTES,
        PART_BYTES,
        5,
    ]
    assert list(in_parts([])) == []


def test_boto3_is_imported_when_it_is_used() -> None:
    code = "import quoracy.stores.s3, sys; print(sorted(m for m in sys.modules if re(m)))"
    code = code.replace("re(m)", "m.split('.')[0] in ('boto3', 'botocore', 's3transfer')")
    found = subprocess.run((sys.executable, "-c", code), check=True, capture_output=True)
    assert re.fullmatch(rb"\[\]\n", found.stdout)
