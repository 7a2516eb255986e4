from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from quoracy.cli.host import host_app
from quoracy.errors import Refused, UsageError
from quoracy.hosts.trust import fetch_host_key, trust, trusted_keys
from tests.hosts.loopback_sshd import Sshd


def trust_options(sshd: Sshd, known_hosts: Path) -> tuple[str, ...]:
    return ("trust", "127.0.0.1", "--port", str(sshd.port), "--known-hosts", str(known_hosts))


def answered(arguments: tuple[str, ...], answer: str) -> tuple[int, str]:
    """Run the command on a terminal whose user types an answer."""
    controller, terminal = pty.openpty()
    program = "from quoracy.cli.host import host_app; host_app()"
    with subprocess.Popen(
        (sys.executable, "-c", program, *arguments), stdin=terminal, stdout=subprocess.PIPE
    ) as process:
        os.write(controller, f"{answer}\n".encode())
        output, _ = process.communicate(timeout=60)
    os.close(controller)
    os.close(terminal)
    return process.returncode, output.decode()


def test_yes_trusts_and_shows_the_fingerprint(sshd: Sshd, tmp_path: Path) -> None:
    known_hosts = tmp_path / "known_hosts"
    result = CliRunner().invoke(host_app, [*trust_options(sshd, known_hosts), "--yes"])
    key = fetch_host_key("127.0.0.1", sshd.port)
    assert result.exit_code == 0, result.output
    assert f"has the key ssh-ed25519 {key.fingerprint}" in result.output
    assert [one.key for one in trusted_keys(known_hosts)] == [key]


def test_without_a_terminal_nobody_is_asked_and_nothing_trusted(sshd: Sshd, tmp_path: Path) -> None:
    known_hosts = tmp_path / "known_hosts"
    result = CliRunner().invoke(host_app, [*trust_options(sshd, known_hosts)])
    assert isinstance(result.exception, UsageError)
    assert result.exception.exit_code == 2
    assert "--yes" in result.exception.next_step
    assert not known_hosts.exists()


def test_on_a_terminal_the_user_decides(sshd: Sshd, tmp_path: Path) -> None:
    known_hosts = tmp_path / "known_hosts"
    code, output = answered(trust_options(sshd, known_hosts), "n")
    assert (code, known_hosts.exists()) == (1, False), output
    code, output = answered(trust_options(sshd, known_hosts), "y")
    assert (code, known_hosts.exists()) == (0, True), output
    assert "Trust it?" in output
    code, output = answered(trust_options(sshd, known_hosts), "n")
    assert (code, "Trust it?" in output) == (0, False), output
    assert "was trusted already" in output


def test_a_changed_key_is_refused_even_with_yes(
    sshd: Sshd, second_sshd: Sshd, tmp_path: Path
) -> None:
    known_hosts = tmp_path / "known_hosts"
    trust(known_hosts, "127.0.0.1", sshd.port, fetch_host_key("127.0.0.1", second_sshd.port))
    result = CliRunner().invoke(host_app, [*trust_options(sshd, known_hosts), "--yes"])
    assert isinstance(result.exception, Refused)
    assert len(trusted_keys(known_hosts)) == 1


def test_the_file_lies_in_the_home_directory_unless_named(
    sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUORACY_HOME", str(tmp_path))
    listed = CliRunner().invoke(host_app, ["list"])
    assert "quoracy host trust ADDRESS" in listed.output
    arguments = ["trust", "127.0.0.1", "--port", str(sshd.port), "--yes"]
    assert CliRunner().invoke(host_app, arguments).exit_code == 0
    key = fetch_host_key("127.0.0.1", sshd.port)
    listed = CliRunner().invoke(host_app, ["list", "--json"])
    assert json.loads(listed.output) == [
        {
            "host": f"[127.0.0.1]:{sshd.port}",
            "type": "ssh-ed25519",
            "fingerprint": key.fingerprint,
        }
    ]
    assert f"[127.0.0.1]:{sshd.port}" in CliRunner().invoke(host_app, ["list"]).output
