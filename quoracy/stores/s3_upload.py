"""One upload to S3: in parts, with each part's digest, aborted when it fails."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

# At least 5 MiB, at most 10,000 parts: objects up to 78 GiB; etcd advises at most 8 GiB.
PART_BYTES = 8 * 1024 * 1024
COPY_BYTES = 64 * 1024 * 1024  # copied within the service: nothing of it passes here
DIGEST_METADATA = "sha256"


class Upload:
    """Sends one object; it appears under its name when everything has arrived, or not at all."""

    def __init__(self, client: S3Client, bucket: str, name: str) -> None:
        self._client = client
        self._bucket = bucket
        self._name = name

    def send(
        self,
        chunks: Iterable[bytes],
        *,
        announced: str | None,
        check: Callable[[str], None],
    ) -> tuple[int, str]:
        """Send the chunks and return their size in bytes and sha256.

        Args:
            chunks: The content.
            announced: Its digest when it is known beforehand.
            check: Called with the found digest before the object appears; raises to prevent it.
        """
        parts = in_parts(chunks)
        first = next(parts, b"")
        if len(first) < PART_BYTES:
            return self._send_whole(first, check)
        return self._send_parts(first, parts, announced, check)

    def _send_whole(self, body: bytes, check: Callable[[str], None]) -> tuple[int, str]:
        digest = hashlib.sha256(body).hexdigest()
        check(digest)
        self._client.put_object(
            Bucket=self._bucket,
            Key=self._name,
            Body=body,
            ContentMD5=content_md5(body),
            Metadata={DIGEST_METADATA: digest},
        )
        return len(body), digest

    def _send_parts(
        self,
        first: bytes,
        rest: Iterable[bytes],
        announced: str | None,
        check: Callable[[str], None],
    ) -> tuple[int, str]:
        size, digest = 0, hashlib.sha256()
        sent: list[CompletedPartTypeDef] = []
        with self._multipart(announced) as upload_id:
            for number, part in enumerate(_chain(first, rest), start=1):
                size += len(part)
                digest.update(part)
                sent.append(self._send_part(upload_id, number, part))
            check(digest.hexdigest())
            self._complete(upload_id, sent)
        if announced is None:
            self._record(digest.hexdigest(), size)
        return size, digest.hexdigest()

    @contextlib.contextmanager
    def _multipart(self, announced: str | None) -> Iterator[str]:
        metadata = {} if announced is None else {DIGEST_METADATA: announced.lower()}
        upload_id = self._client.create_multipart_upload(
            Bucket=self._bucket, Key=self._name, Metadata=metadata
        )["UploadId"]
        try:
            yield upload_id
        except BaseException as error:  # also Ctrl-C: parts left behind cost money, unseen
            self._abort(upload_id, because=error)
            raise

    def _abort(self, upload_id: str, *, because: BaseException) -> None:
        """Drop the parts; when that fails too, the first failure is the one to report."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._client.abort_multipart_upload(
                Bucket=self._bucket, Key=self._name, UploadId=upload_id
            )
        except (BotoCoreError, ClientError) as error:
            because.add_note(f"upload {upload_id} could not be aborted: {error}")

    def _send_part(self, upload_id: str, number: int, part: bytes) -> CompletedPartTypeDef:
        answer = self._client.upload_part(
            Bucket=self._bucket,
            Key=self._name,
            UploadId=upload_id,
            PartNumber=number,
            Body=part,
            ContentMD5=content_md5(part),
        )
        return {"ETag": answer["ETag"], "PartNumber": number}

    def _record(self, digest: str, size: int) -> None:
        """Add the digest, found only while sending, by a copy within the service.

        Metadata of a multipart upload is given when it begins, and changed by copying alone; a
        copy in one piece ends at 5 GiB.
        """
        with self._multipart(digest) as upload_id:
            copied: list[CompletedPartTypeDef] = []
            for number, start in enumerate(range(0, size, COPY_BYTES), start=1):
                answer = self._client.upload_part_copy(
                    Bucket=self._bucket,
                    Key=self._name,
                    UploadId=upload_id,
                    PartNumber=number,
                    CopySource={"Bucket": self._bucket, "Key": self._name},
                    CopySourceRange=f"bytes={start}-{min(start + COPY_BYTES, size) - 1}",
                )
                copied.append({"ETag": answer["CopyPartResult"]["ETag"], "PartNumber": number})
            self._complete(upload_id, copied)

    def _complete(self, upload_id: str, parts: list[CompletedPartTypeDef]) -> None:
        self._client.complete_multipart_upload(
            Bucket=self._bucket,
            Key=self._name,
            UploadId=upload_id,
            MultipartUpload={"Parts": parts},
        )


def in_parts(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the content again in pieces of exactly `PART_BYTES`, the last one shorter."""
    waiting = bytearray()
    for chunk in chunks:
        view = memoryview(chunk)
        while view:
            room = PART_BYTES - len(waiting)
            waiting += view[:room]
            view = view[room:]
            if len(waiting) == PART_BYTES:
                yield bytes(waiting)
                waiting.clear()
    if waiting:
        yield bytes(waiting)


def content_md5(body: bytes) -> str:
    """Return the Content-MD5 header: the service refuses a body that was damaged on its way."""
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def _chain(first: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest
