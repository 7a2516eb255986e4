"""What users are told when the S3 service, or the way to it, does not do as asked."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from quoracy.errors import StoreError, UsageError
from quoracy.stores.s3 import S3Store
from quoracy.stores.s3_upload import PART_BYTES
from tests.stores.swift_service import SECRET_KEY, S3Service

OPERATIONS: list[Callable[[S3Store], object]] = [
    lambda store: store.put("x", [b"x"]),
    lambda store: store.put("x", [b"x" * 2 * PART_BYTES]),
    lambda store: list(store.get("x")),
    lambda store: store.list(),
    lambda store: store.delete("x"),
]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_missing_bucket(s3_service: S3Service, operation: Callable[[S3Store], object]) -> None:
    with pytest.raises(StoreError, match="NoSuchBucket") as caught:
        operation(s3_service.store("no-such-bucket"))
    assert "create the bucket" in caught.value.next_step
    assert caught.value.where.startswith("s3://no-such-bucket/")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_wrong_secret(
    s3_service: S3Service, bucket: str, operation: Callable[[S3Store], object]
) -> None:
    with pytest.raises(StoreError, match="SignatureDoesNotMatch") as caught:
        operation(s3_service.store(bucket, secret_key="not-the-secret"))
    assert "secret_key" in caught.value.next_step
    assert "not-the-secret" not in str(caught.value)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_nobody_listens(operation: Callable[[S3Store], object]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(StoreError, match="cannot be reached") as caught:
            operation(S3Store(endpoint, "b", "", "us-east-1", "key", SECRET_KEY))
    assert "endpoint" in caught.value.next_step
    assert endpoint in caught.value.what


def test_missing_object(s3_service: S3Service, bucket: str) -> None:
    with pytest.raises(StoreError, match="NoSuchKey") as caught:
        list(s3_service.store(bucket).get("x"))
    assert caught.value.next_step == "list the snapshots there are"


def test_endpoint_that_is_no_url() -> None:
    with pytest.raises(UsageError, match="not a url") as caught:
        S3Store("not a url", "b", "", "us-east-1", "key", SECRET_KEY).list()
    assert "endpoint" in caught.value.next_step


@pytest.fixture
def cut_short() -> Iterator[str]:
    """A server that promises 100 bytes, sends ten and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 10)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


def test_object_cut_short_on_its_way(cut_short: str) -> None:
    with pytest.raises(StoreError, match="cut short"):
        list(S3Store(cut_short, "b", "", "us-east-1", "key", SECRET_KEY).get("x"))
