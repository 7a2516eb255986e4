from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from quoracy.db.holder import user_name
from quoracy.errors import UsageError
from quoracy.login import login_file, server_login
from quoracy.redact import MASK, redact
from tests.controller import home_in


def test_it_is_made_once_however_many_ask_and_is_its_owners_alone(tmp_path: Path) -> None:
    home = home_in(tmp_path)
    with ThreadPoolExecutor(16) as pool:
        made = set(pool.map(lambda _: server_login(home), range(64)))
    (login,) = made
    name, _, secret = login.partition(":")
    assert name == user_name()
    assert len(secret) == 43
    assert login_file(home).stat().st_mode & 0o777 == 0o600
    assert server_login(home) == login
    assert [path.name for path in home.path.iterdir()] == ["prefect-login"]


def test_it_is_masked_wherever_it_would_be_shown(tmp_path: Path) -> None:
    login = server_login(home_in(tmp_path))
    assert redact(f"PREFECT_API_AUTH_STRING={login}.") == f"PREFECT_API_AUTH_STRING={MASK}."


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_one_that_others_may_read_is_none(tmp_path: Path, mode: int) -> None:
    home = home_in(tmp_path)
    server_login(home)
    login_file(home).chmod(mode)
    with pytest.raises(UsageError, match="others may read the login") as caught:
        server_login(home)
    assert caught.value.where == str(login_file(home))


@pytest.mark.parametrize(
    "text", ["", "ann", "ann:short", ":0123456789abcdef", "a:0123456789 abcdef", "\xff" * 30]
)
def test_what_is_no_login_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    home = home_in(tmp_path)
    login_file(home).write_text(text)
    login_file(home).chmod(0o600)
    with pytest.raises(UsageError, match="this is no login") as caught:
        server_login(home)
    assert "0123456789" not in str(caught.value)
