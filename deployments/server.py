"""The Prefect server of `quoracy up`: Prefect's own, under its own names only, and it notes who asks.

`prefect server start` has no setting for the names that it answers to: it serves whatever name a request
gives, so a web page whose name is made to point to this machine would be of the server's own origin.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
import stat
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request
from prefect.server.api.dependencies import get_created_by, get_updated_by
from prefect.server.api.server import create_app
from prefect.server.schemas.core import CreatedBy, UpdatedBy
from prefect.settings import get_current_settings
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from quoracy.login import NOTED, UI

logger = logging.getLogger("uvicorn.error")

LOG_BYTES, LOG_LOOK_S = 16 * 1024**2, 5.0
OWN_NAMES = ("127.0.0.1", "localhost")
# The name under which Prefect's automations call the server within its process; from outside it is refused.
_WITHIN = "prefect-in-memory"
# Browsers send the first with every request to this machine, and no page can take it away.
_FROM_A_PAGE = ("sec-fetch-site", "x-prefect-ui")


def guarded(app: FastAPI) -> ASGIApp:
    """The server that refuses requests under other names, and records who starts runs and edits."""
    api: FastAPI = app.api_app  # type: ignore[attr-defined]
    api.dependency_overrides |= {get_created_by: created_by, get_updated_by: updated_by}
    # Around the app, not in it: automations call the app by another name.
    return TrustedHostMiddleware(ShortSockets(app), allowed_hosts=OWN_NAMES, www_redirect=False)


class ShortSockets:
    """A web socket that breaks the server's expectations ends with a line, not with a traceback each time.

    Prefect parses its first messages before it asks for the login, so anybody on the machine can send them.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            if scope["type"] != "websocket":
                raise
            logger.warning("a web socket was closed: %s", type(error).__name__)
            with suppress(Exception):  # it may be closed already
                await send({"type": "websocket.close", "code": 1008})


def keep_small(log: Path, *, most: int = LOG_BYTES) -> None:
    """Begin a log anew that has grown beyond a size; what it held at first is kept beside it.

    Whoever reaches the port can make the server write lines, and nobody else looks after this file.

    Args:
        log: It is appended to by file descriptors that stay open.
    """
    if log.stat().st_size <= most:
        return
    with log.open("r+b") as full, log.with_name(f"{log.name}.1").open("wb") as older:
        older.write(full.read(most))
        full.truncate(0)


def _keep_small(log: Path) -> None:
    while True:
        time.sleep(LOG_LOOK_S)
        keep_small(log)


def created_by(request: Request) -> CreatedBy:
    """Who starts a run: the UI, an automation, or the login that the request came with."""
    return CreatedBy(**_caller(request))


def updated_by(request: Request) -> UpdatedBy:
    """Who changes a deployment."""
    return UpdatedBy(**_caller(request))


def _caller(request: Request) -> dict[str, str | None]:
    if request.url.hostname == _WITHIN:
        return {"type": "AUTOMATION", "display_value": "automation"}
    page = any(name in request.headers for name in _FROM_A_PAGE)
    return {"type": NOTED, "display_value": UI if page else _login_name(request)}


def _login_name(request: Request) -> str | None:
    """The name in the credentials, which the server has checked before."""
    _, _, credentials = request.headers.get("Authorization", "").partition(" ")
    try:
        return base64.b64decode(credentials).decode().partition(":")[0] or None
    except (binascii.Error, UnicodeDecodeError):
        return None


def main() -> None:
    """Serve until told to stop, as `prefect server start` does."""
    wanted = get_current_settings().server
    if stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode):
        log = Path(f"/proc/self/fd/{sys.stdout.fileno()}").readlink()
        threading.Thread(target=_keep_small, args=(log,), daemon=True).start()
    uvicorn.run(
        guarded(create_app(final=True)),
        host=wanted.api.host,
        port=wanted.api.port,
        timeout_keep_alive=wanted.api.keepalive_timeout,
        ws_ping_interval=wanted.api.websocket_ping_interval,
        ws_ping_timeout=wanted.api.websocket_ping_timeout,
        log_level=wanted.logging_level.lower(),
    )


if __name__ == "__main__":
    main()
