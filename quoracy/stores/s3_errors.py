"""What an S3 service or the way to it says, as a StoreError with advice."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from quoracy.errors import StoreError

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError

_CHECK_KEYS = "check access_key, secret_key and region of the backup store"
_CHECK_RIGHTS = "allow this key to get, put, list and delete objects below the prefix"

# Codes of the S3 API (API reference, "Error responses"); a HEAD answer has no body, so its code is
# the HTTP status.
ADVICE = {
    "NoSuchBucket": "create the bucket, or correct `bucket` of the backup store",
    "NoSuchKey": "list the snapshots there are",
    "404": "list the snapshots there are",
    "SignatureDoesNotMatch": _CHECK_KEYS,
    "InvalidAccessKeyId": _CHECK_KEYS,
    "AuthorizationHeaderMalformed": "correct `region` of the backup store",
    "PermanentRedirect": "correct `endpoint` and `region` of the backup store",
    "RequestTimeTooSkewed": "set the clock of this machine",
    "AccessDenied": _CHECK_RIGHTS,
    "403": f"{_CHECK_KEYS}; {_CHECK_RIGHTS}",
    "EntityTooLarge": "raise the size limit of the service",
    "SlowDown": "try again later",
    "BadDigest": "try again; the content was damaged on its way",
}


@contextlib.contextmanager
def s3_errors(where: str) -> Iterator[None]:
    """Turn botocore's errors into a StoreError; their texts hold neither key nor signature.

    Args:
        where: URL of the object.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise _refused(error, where) from error
    except BotoCoreError as error:
        raise _unreachable(error, where) from error


def _refused(error: ClientError, where: str) -> StoreError:
    code = error.response.get("Error", {}).get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    said = error.response.get("Error", {}).get("Message", "")
    again = "look at the service's own log, and try again"
    return StoreError(
        f"the S3 service refuses {error.operation_name} with {code} (HTTP {status}): {said}",
        where=where,
        next_step=ADVICE.get(code, again),
    )


def _unreachable(error: BotoCoreError, where: str) -> StoreError:
    from botocore import exceptions

    if isinstance(error, (exceptions.ResponseStreamingError, exceptions.IncompleteReadError)):
        return StoreError(f"the object was cut short: {error}", where=where, next_step="try again")
    if isinstance(error, (exceptions.HTTPClientError, exceptions.ConnectionError)):
        return StoreError(
            f"the S3 service cannot be reached: {error}",
            where=where,
            next_step="check `endpoint` of the backup store, and the way there (DNS, proxy, TLS)",
        )
    return StoreError(
        f"the S3 client refuses: {error}",
        where=where,
        next_step="check `endpoint`, `bucket` and `region` of the backup store",
    )
