"""A login that is not root, on an sshd in a mount namespace that knows one more user."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from quoracy.errors import CommandTimeout, RemoteError
from quoracy.hosts.ssh import SshHost
from tests.hosts.loopback_sshd import Sshd

LOGIN = "quoracy-test"
UNSHARED = ("unshare", "--mount", "sh", "-c")


@pytest.fixture
def open_folder(tmp_path: Path) -> Path:
    """A folder whose programs the login may run: pytest's own are closed to others."""
    folder = tmp_path / "open"
    folder.mkdir()
    for one in (folder, *folder.parents):
        if one.is_relative_to("/tmp") and one != Path("/tmp"):
            one.chmod(0o755)
    return folder


@pytest.fixture
def start_with_login(start_sshd: Callable[..., Sshd], open_folder: Path) -> Callable[..., Sshd]:
    """Start an sshd that knows the login, and finds `sudo` in a folder when one is given."""
    if subprocess.run((*UNSHARED, "mount --bind /etc /etc"), check=False).returncode != 0:
        pytest.skip("needs mount namespaces (CAP_SYS_ADMIN)")
    passwd = open_folder / "passwd"
    passwd.write_text(f"{Path('/etc/passwd').read_text()}{LOGIN}:*:61234:61234::/:/bin/sh\n")
    sudoers = open_folder / "sudoers"
    sudoers.write_text(f"root ALL=(ALL) ALL\n{LOGIN} ALL=(ALL) NOPASSWD: ALL\n")
    sudoers.chmod(0o440)

    def start(programs: Path | None = None) -> Sshd:
        mounts = f"mount --bind {passwd} /etc/passwd"
        if programs is None:
            mounts += f" && mount --bind {sudoers} /etc/sudoers"
        path = f"{programs or '/usr/sbin'}:/usr/bin:/bin"
        return start_sshd(
            f"SetEnv PATH={path}", wrapper=(*UNSHARED, f'{mounts} && exec "$@"', "sh")
        )

    return start


def program(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return folder


def test_login_without_sudo_rights_is_told_how_to_give_them(
    start_with_login: Callable[..., Sshd], open_folder: Path
) -> None:
    refusing = program(open_folder, "sudo", "echo 'sudo: a password is required' >&2; exit 1")
    host = SshHost(start_with_login(refusing).target(user=LOGIN))
    for call in (host.run, lambda script, what: host.send(script, [b"x"], what=what)):
        with pytest.raises(RemoteError, match="cannot become root without a password") as raised:
            call("true", what="try")
        assert f"{LOGIN} ALL=(ALL) NOPASSWD: ALL" in raised.value.next_step
    host.close()


def test_everything_goes_through_sudo(
    start_with_login: Callable[..., Sshd], open_folder: Path
) -> None:
    log = open_folder / "log"
    log.touch(0o666)
    log.chmod(0o666)
    noting = program(open_folder, "sudo", f'echo "$*" >> {log}; shift; exec "$@"')
    host = SshHost(start_with_login(noting).target(user=LOGIN))
    assert host.run("id -un", what="ask").stdout == f"{LOGIN}\n".encode()
    host.run("exit 1", what="fail", check=False)
    host.send("cat", [b"x"], what="upload", timeout=7)
    assert list(host.receive("echo hello", what="download")) == [b"hello\n"]
    host.close()
    assert log.read_text().splitlines() == [
        "-n true",  # once, before the first command
        "-n timeout -k 5 30 sh -s",
        "-n timeout -k 5 30 sh -s",
        "-n timeout -k 5 7 sh -c cat",
        "-n timeout -k 5 600 sh -s",
    ]


@pytest.mark.skipif(
    shutil.which("sudo") is None or not os.path.exists("/etc/sudoers"),  # noqa: PTH110
    reason="sudo is not installed; a stand-in shows the calls above",
)
def test_sudo_itself_makes_the_login_root_and_the_time_limit_kills_what_root_runs(
    start_with_login: Callable[..., Sshd],
) -> None:
    host = SshHost(start_with_login().target(user=LOGIN))
    assert host.run("id -u", what="ask").stdout == b"0\n"
    assert host.send("wc -c", [b"x" * 3_000_000], what="upload").stdout == b"3000000\n"
    with pytest.raises(CommandTimeout):
        host.run("sleep 60", what="wait", timeout=1)
    with pytest.raises(CommandTimeout):
        host.run("trap '' TERM; while :; do sleep 60; done", what="wait", timeout=1)
    host.close()
