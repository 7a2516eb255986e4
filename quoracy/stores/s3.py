"""A snapshot store in an S3 bucket, of any endpoint."""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from quoracy.errors import StoreError, UsageError
from quoracy.stores.s3_errors import s3_errors
from quoracy.stores.s3_upload import DIGEST_METADATA, Upload
from quoracy.stores.store import (
    CHUNK_BYTES,
    ListedObject,
    StoredObject,
    check_digest,
    check_key,
    source_chunks,
)

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


class S3Store:
    """Keeps each object under `prefix` in a bucket; memory use is five parts of 8 MiB, at most.

    The digest of the content is kept as the object's metadata `sha256`, and held against what
    `get` delivers. Parts that a killed upload left are invisible; a lifecycle rule of the bucket
    (AbortIncompleteMultipartUpload) clears them.

    Args:
        endpoint: URL of the S3 service.
        bucket: An existing bucket.
        prefix: Put before every key, with a slash between; may be empty.
        region: The region that requests are signed for.
        access_key: Id of the key.
        secret_key: The key itself; never shown.
    """

    def __init__(
        self,
        endpoint: str,
        bucket: str,
        prefix: str,
        region: str,
        access_key: str,
        secret_key: str,
    ) -> None:
        self._endpoint = endpoint
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._region = region
        self._access_key = access_key
        self._secret_key = secret_key

    def put(self, key: str, chunks: Iterable[bytes], *, sha256: str | None = None) -> StoredObject:
        """Upload in parts, then ask the service what it has; a failed upload is aborted."""
        name = self._name(key)
        with s3_errors(self.url(key)):
            upload = Upload(self._client, self._bucket, name)
            size, found = upload.send(
                source_chunks(key, chunks),
                announced=sha256,
                check=lambda found: check_digest(key, expected=sha256, found=found),
            )
            self._verify(key, size=size, digest=found)
        return StoredObject(key=key, size=size, sha256=found, url=self.url(key))

    def get(self, key: str) -> Iterator[bytes]:
        """Yield the object in chunks of 1 MiB; its size and digest are checked after the last."""
        digest = hashlib.sha256()
        with s3_errors(self.url(key)):
            answer = self._client.get_object(Bucket=self._bucket, Key=self._name(key))
            with contextlib.closing(answer["Body"]) as body:
                for chunk in body.iter_chunks(CHUNK_BYTES):  # raises when the body is cut short
                    digest.update(chunk)
                    yield chunk
        recorded = answer["Metadata"].get(DIGEST_METADATA)
        if recorded is not None and recorded != digest.hexdigest():
            raise StoreError(
                f"the object has sha256 {digest.hexdigest()}, it was stored with {recorded}",
                where=self.url(key),
                next_step="do not restore it; take another snapshot from the list",
            )

    def list(self, prefix: str = "") -> list[ListedObject]:
        """Return the objects of all pages (a page holds 1,000 at most), sorted by key."""
        found = []
        with s3_errors(self._location(prefix)):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            for page in pages:
                for entry in page.get("Contents", []):
                    key = entry["Key"].removeprefix(self._prefix)
                    found.append(ListedObject(key, entry["Size"], entry["LastModified"]))
        return sorted(found, key=lambda listed: listed.key)

    def delete(self, key: str) -> None:
        """Remove the object; the service does not tell whether there was one."""
        with s3_errors(self.url(key)):
            self._client.delete_object(Bucket=self._bucket, Key=self._name(key))

    def url(self, key: str) -> str:
        """Return the object's `s3:` URL; the endpoint is not part of it."""
        return self._location(check_key(key))

    def _location(self, key: str) -> str:
        return f"s3://{self._bucket}/{self._prefix}{key}"

    def _name(self, key: str) -> str:
        return self._prefix + check_key(key)

    @functools.cached_property
    def _client(self) -> S3Client:
        try:
            return self._connect()
        except ValueError as error:  # botocore: "Invalid endpoint: ..."
            raise UsageError(
                str(error),
                where=self._location(""),
                next_step="write `endpoint` of the backup store as http(s)://host[:port]",
            ) from error

    def _connect(self) -> S3Client:
        # Imported here: boto3 takes half a second, and most commands never reach a store.
        import boto3
        from botocore.config import Config

        return boto3.Session().client(
            "s3",
            endpoint_url=self._endpoint,
            region_name=self._region,
            aws_access_key_id=self._access_key,
            aws_secret_access_key=self._secret_key,
            config=Config(
                s3={"addressing_style": "path"},  # bucket host names need a wildcard certificate
                # Services other than Amazon's refuse the trailing checksums that boto3 sends by
                # default since 1.36; parts carry Content-MD5 instead.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                connect_timeout=10,
                read_timeout=60,
                retries={"mode": "standard", "total_max_attempts": 4},
            ),
        )

    def _verify(self, key: str, *, size: int, digest: str) -> None:
        head = self._client.head_object(Bucket=self._bucket, Key=self._name(key))
        stored = (head["ContentLength"], head["Metadata"].get(DIGEST_METADATA))
        if stored != (size, digest):
            raise StoreError(
                f"the service has {stored[0]} bytes with sha256 {stored[1]}, "
                f"sent were {size} with {digest}",
                where=self.url(key),
                next_step="delete the object and upload again; two writers may share this key",
            )
