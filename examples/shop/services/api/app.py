"""A small ASGI application without a framework; every answer names its release."""

import os
from pathlib import Path

_VERSION_FILE = Path(__file__).resolve().parent / "version.txt"
# Read once: a process answers for the release that it was started from.
_RELEASE = os.environ.get("RELEASE", "none")
_VERSION = _VERSION_FILE.read_text().strip()


async def application(scope, receive, send):  # noqa: ARG001  ASGI's signature
    """Answer one request."""
    status, text = 200, "ok\n"
    if scope["path"] == "/asset.txt":
        # Read at each request, so that a tree that changes under the process would be seen.
        text = f"api release={_RELEASE} version={_VERSION_FILE.read_text().strip()}\n"
    elif scope["path"] == "/":
        text = f"api release={_RELEASE} version={_VERSION}\n"
    elif scope["path"] != "/health":
        status, text = 404, "not found\n"
    body = text.encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
