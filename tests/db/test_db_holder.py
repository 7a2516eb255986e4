from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from quoracy.db.holder import Holder, asking_user, is_gone, this_process, user_name


def holder_of(pid: int) -> Holder:
    """Describe another process, as it would describe itself."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return replace(this_process(), id=f"someone:{pid}", pid=pid, process_started=int(fields[19]))


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def test_this_process_is_told_from_every_other() -> None:
    here = this_process()
    assert here.pid == os.getpid()
    assert here == this_process()
    assert f":{here.pid}:" in here.id
    assert " " not in here.id
    told = "from quoracy.db.holder import this_process; print(this_process().id)"
    other = subprocess.run(
        [sys.executable, "-c", told], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert other != here.id


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("CORP\\nick", "CORP_nick"),
        ("Ann Lee", "Ann_Lee"),
        ("a'b$(c)", "a_b__c_"),
        ("zoë", "zo_"),
        ("svc.web-1@corp", "svc.web-1@corp"),
    ],
)
def test_the_id_is_one_plain_word_whatever_the_login(
    monkeypatch: pytest.MonkeyPatch, name: str, shown: str
) -> None:
    login = pwd.struct_passwd((name, "x", os.getuid(), 0, "", "/", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: login)
    assert this_process().id.startswith(f"{shown}@")
    assert user_name() == name


def test_a_login_without_a_name_is_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", nameless)
    assert user_name() == str(os.getuid())


@pytest.mark.parametrize(
    ("kept", "name"),
    [("0", "root"), ("4294967295", None), ("", None), ("65000", "65000")],
    ids=["logged in", "no login", "not kept", "without a name"],
)
def test_who_asks_is_who_has_logged_in_and_not_what_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: str, name: str | None
) -> None:
    for variable in ("SUDO_USER", "USER", "LOGNAME"):
        monkeypatch.setenv(variable, "mallory")
    (tmp_path / "loginuid").write_text(kept)
    assert asking_user(tmp_path / "loginuid") == (name or user_name())
    assert asking_user(tmp_path / "missing") == user_name() == pwd.getpwuid(os.getuid()).pw_name


def test_a_living_process_is_not_gone(child: subprocess.Popen[bytes]) -> None:
    assert not is_gone(this_process(), this_process())
    assert not is_gone(holder_of(child.pid), this_process())


def test_a_process_that_has_ended_is_gone(child: subprocess.Popen[bytes]) -> None:
    holder = holder_of(child.pid)
    child.kill()
    child.wait()
    assert is_gone(holder, this_process())


def test_a_killed_process_that_nobody_has_waited_for_is_gone(
    child: subprocess.Popen[bytes],
) -> None:
    holder = holder_of(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended and is a zombie
    assert Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    assert is_gone(holder, this_process())


def test_a_later_process_of_the_same_id_is_another_one() -> None:
    here = this_process()
    assert is_gone(replace(here, process_started=here.process_started - 1), here)


@pytest.mark.parametrize("differs", [{"boot_id": "another"}, {"machine": "another"}])
def test_of_another_boot_or_machine_nothing_is_certain(
    child: subprocess.Popen[bytes], differs: dict[str, Any]
) -> None:
    holder = replace(holder_of(child.pid), **differs)
    child.kill()
    child.wait()
    assert not is_gone(holder, this_process())


def test_a_process_of_another_user_is_seen(child: subprocess.Popen[bytes]) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    code = (
        "import os; from dataclasses import replace;"
        " from quoracy.db.holder import is_gone, this_process;"
        " os.setgroups([]); os.setuid(65534); here = this_process();"
        f" other = replace(here, pid={child.pid}, process_started=%d); print(is_gone(other, here))"
    )
    lives = holder_of(child.pid).process_started
    shown = [
        subprocess.run(
            [sys.executable, "-c", code % started], capture_output=True, text=True, check=True
        ).stdout
        for started in (lives, lives - 1)
    ]
    assert shown == ["False\n", "True\n"]
