"""The login of the Prefect server: a line in the home that whoever asks the server must know."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from quoracy.db.holder import user_name
from quoracy.durable import made_once
from quoracy.errors import UsageError
from quoracy.home import Home
from quoracy.redact import remember

# How the server of `quoracy up` notes on a run who has started it: the kind, and the UI's name.
NOTED, UI = "USER", "prefect-ui"
_LOGIN = re.compile(r"(?P<name>[!-9;-~]{1,64}):[!-~]{16,256}")
_OTHERS = 0o077


def login_file(home: Home) -> Path:
    """Where it is kept."""
    return home.path / "prefect-login"


def server_login(home: Home) -> str:
    """`name:secret`; made at the first call, with the name of the user that the home belongs to.

    Raises:
        UsageError: The file holds something else, or others may read it.
    """
    path = login_file(home)
    text = made_once(path, _new, mode=0o600)
    mode = path.stat().st_mode & 0o777
    if mode & _OTHERS:
        raise UsageError(
            f"others may read the login of the Prefect server (mode {mode:04o})",
            where=str(path),
            next_step="remove it: `quoracy down` and `quoracy up` make another one",
        )
    login = text.decode("utf-8", "replace").strip()
    if not _LOGIN.fullmatch(login):
        raise UsageError(
            "this is no login: a name, a colon and at least 16 characters without a blank",
            where=str(path),
            next_step="remove it: `quoracy down` and `quoracy up` make another one",
        )
    remember(login)
    remember(login.partition(":")[2])
    return login


def _new() -> bytes:
    name = re.sub(r"[^A-Za-z0-9._@-]", "_", user_name())[:64]
    return f"{name}:{secrets.token_urlsafe(32)}\n".encode()
