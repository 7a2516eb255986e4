"""HTTP GET with timeouts, and errors that say what to do."""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import IO

from quoracy.aside import require_uncut
from quoracy.errors import ReleaseError, UsageError

TIMEOUT_SECONDS = 30.0
_CHUNK_BYTES = 256 * 1024


def check_base_url(url: str) -> str:
    """Return the URL without trailing slashes.

    Raises:
        UsageError: It is not http or https, or holds credentials, which would end up in errors.
    """
    if "@" in url:
        raise UsageError(
            "the URL of the releases holds credentials",
            where=url.rpartition("@")[2],
            next_step="use a mirror that needs none, or a directory of archives",
        )
    if not re.fullmatch(r"https?://[^/?#\s]+(/[^?#\s]*)?", url):
        raise UsageError(
            f"{url!r} cannot be the URL of releases",
            next_step="write it as https://host/path; the folders v3.5.16, … lie below it",
        )
    return url.rstrip("/")


def download(url: str, *, timeout: float = TIMEOUT_SECONDS) -> Iterator[bytes]:
    """Yield the body of a GET in chunks; redirects are followed, but never from https to http.

    Args:
        url: What `check_base_url` let pass, and more below it.
        timeout: Seconds of connecting, and of each wait for data; not of the whole download.

    Raises:
        ReleaseError: There is no such file, or the connection failed, or the body ended early.
    """
    opener = urllib.request.build_opener(_NoDowngrade)
    request = urllib.request.Request(url, headers={"User-Agent": "quoracy"})  # noqa: S310  # checked
    try:
        with opener.open(request, timeout=timeout) as answer:
            yield from _whole_body(answer, url)
    except urllib.error.HTTPError as error:
        with error:
            raise _refused(error, url) from error
    except (OSError, http.client.HTTPException) as error:
        raise ReleaseError(
            f"the download failed: {str(getattr(error, 'reason', None) or error) or repr(error)}",
            where=url,
            next_step="check the way there (DNS, proxy, TLS), or use a mirror or a directory",
        ) from error


def _whole_body(answer: http.client.HTTPResponse, url: str) -> Iterator[bytes]:
    """Yield the chunks; `http.client` tells of a body cut short only when it is read at once."""
    promised, received = answer.length, 0
    while chunk := answer.read(_CHUNK_BYTES):
        require_uncut()
        received += len(chunk)
        yield chunk
    if promised is not None and received != promised:
        raise ReleaseError(
            f"the download ended after {received} of {promised} bytes",
            where=url,
            next_step="nothing was kept; try again",
        )


class _NoDowngrade(urllib.request.HTTPRedirectHandler):
    """Whoever can change an http answer can change archive and checksum alike."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if req.type == "https" and urllib.parse.urlsplit(newurl).scheme != "https":
            raise ReleaseError(
                "the server redirects to an address without TLS",
                where=req.full_url,
                next_step="use another mirror, or a directory of archives",
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _refused(error: urllib.error.HTTPError, url: str) -> ReleaseError:
    missing = error.code in (404, 410)
    return ReleaseError(
        f"the server says {error.code} {error.reason}",
        where=url,
        next_step=(
            "check that this version was released for this architecture"
            if missing
            else "try again later, or use a mirror or a directory of archives"
        ),
    )
