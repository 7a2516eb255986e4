"""Asking a Prefect server without Prefect: whether it is there, takes a login, and what it knows."""

from __future__ import annotations

import base64
import http.client
import json
import urllib.error
import urllib.request
from enum import Enum, auto
from http import HTTPStatus
from typing import Any
from uuid import uuid4

# What reading from a server raises when it is gone, going, or no Prefect server; URLError is an
# OSError, and JSON that was cut off a ValueError.
NO_ANSWER = (OSError, http.client.HTTPException, ValueError)
_TIMEOUT_S = 5


class Greeting(Enum):
    """What a server says to a login."""

    READY = auto()
    REFUSED = auto()
    SILENT = auto()


def greet(url: str, login: str) -> Greeting:
    """Whether a Prefect server is ready at the URL, and lets this login in; "" is none."""
    try:
        _call(f"{url}/api/version", login)
    except urllib.error.HTTPError as error:
        with error:
            refused = error.code == HTTPStatus.UNAUTHORIZED
        return Greeting.REFUSED if refused else Greeting.SILENT
    except NO_ANSWER:
        return Greeting.SILENT
    return Greeting.READY


def ask(url: str, login: str, path: str, body: object) -> Any:
    """The answer to a POST; a server that guards against forged requests gives a token for it first.

    Raises:
        OSError, HTTPException, ValueError: The server is gone, going, or no Prefect server.
    """
    client = str(uuid4())
    try:
        token = _call(f"{url}/api/csrf-token?client={client}", login)["token"]
        proof = {"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": client}
    except urllib.error.HTTPError as error:
        with error:
            if error.code != HTTPStatus.UNPROCESSABLE_ENTITY:  # it does not guard against them
                raise
        proof = {}
    return _call(f"{url}/api{path}", login, json.dumps(body).encode(), proof)


def _call(
    url: str, login: str, data: bytes | None = None, headers: dict[str, str] | None = None
) -> Any:
    request = urllib.request.Request(url, data=data, headers=headers or {})  # noqa: S310  http or https
    request.add_header("Content-Type", "application/json")
    if login:
        credentials = base64.b64encode(login.encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {credentials}")
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310  http or https
        return json.loads(response.read())
