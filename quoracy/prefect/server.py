"""The Prefect server that a command works with, and the login for it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from quoracy.errors import UsageError
from quoracy.home import Home
from quoracy.login import login_file, server_login
from quoracy.prefect.api import Greeting, greet
from quoracy.prefect.up import SERVER, Service, read_service


def server_url(home: Home, environ: Mapping[str, str] = os.environ) -> str:
    """Where the Prefect server answers: PREFECT_API_URL, or the one that `quoracy up` started.

    Raises:
        UsageError: No server answers, or it does not take our login; it says what to run.
    """
    given = environ.get("PREFECT_API_URL", "").removesuffix("/api").rstrip("/")
    service = read_service(home, SERVER)
    url = given or (service.url if service else "")
    greeting = greet(url, login_for(home, url, environ)) if url else Greeting.SILENT
    if greeting is Greeting.READY:
        return url
    if greeting is Greeting.REFUSED:
        raise _not_let_in(home, url, own=service is not None and service.url == url)
    shown = without_login(url)
    what = (
        f"the Prefect server at {shown} does not answer" if url else "no Prefect server runs here"
    )
    raise UsageError(what, next_step="run `quoracy up`, then the same command again")


def login_for(home: Home, url: str, environ: Mapping[str, str] = os.environ) -> str:
    """The login at a server: our own for the one that `quoracy up` has started, and for no other.

    Raises:
        UsageError: Our own cannot be used.
    """
    service = read_service(home, SERVER)
    if service and service.url == url:
        return server_login(home)
    return environ.get("PREFECT_API_AUTH_STRING", "")


def _not_let_in(home: Home, url: str, *, own: bool) -> UsageError:
    what = f"the Prefect server at {without_login(url)} does not take the login"
    if own:
        return UsageError(
            f"{what}: it was started with another one",
            where=str(login_file(home)),
            next_step="run `quoracy down`, then `quoracy up`, then the same command again",
        )
    return UsageError(what, next_step="set PREFECT_API_AUTH_STRING to a login of that server")


def require_login(service: Service | None) -> None:
    """Refuse a server of ours that was started without a login, as earlier versions did.

    Raises:
        UsageError: It lets everybody in.
    """
    if service and greet(service.url, "") is Greeting.READY:
        raise UsageError(
            f"the Prefect server at {service.url} was started without a login: "
            "whoever has a shell on this machine can start runs there and read blocks",
            next_step="run `quoracy down`, then `quoracy up`: it starts the server again, with a login; "
            "runs under way end with it, and the same operation again takes up what is left",
        )


def without_login(url: str) -> str:
    """The URL as it may be shown: without user and password."""
    scheme, slashes, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{slashes}{host.rpartition('@')[2]}{slash}{path}" if slashes else url
