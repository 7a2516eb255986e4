"""The Prefect server of `quoracy up`: Prefect's own, under its own names only, and it notes who asks.

`prefect server start` has no setting for the names that it answers to: it serves whatever name a request
gives, so a web page whose name is made to point to this machine would be of the server's own origin.
"""

from __future__ import annotations

import base64
import binascii

import uvicorn
from fastapi import FastAPI, Request
from prefect.server.api.dependencies import get_created_by, get_updated_by
from prefect.server.api.server import create_app
from prefect.server.schemas.core import CreatedBy, UpdatedBy
from prefect.settings import get_current_settings
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp

from quoracy.login import NOTED, UI

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
    return TrustedHostMiddleware(app, allowed_hosts=OWN_NAMES, www_redirect=False)


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
