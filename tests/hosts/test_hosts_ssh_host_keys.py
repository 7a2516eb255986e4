from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from quoracy.errors import (
    HostKeyRejected,
    HostUnreachable,
    UsageError,
)
from quoracy.hosts.ssh import SshHost
from quoracy.hosts.trust import fetch_host_key, known_hosts_name, trust
from tests.hosts.loopback_sshd import Sshd


def test_unknown_key_is_refused_and_the_command_that_trusts_it_is_named(
    sshd: Sshd, tmp_path: Path
) -> None:
    known_hosts = tmp_path / "none"
    with pytest.raises(HostKeyRejected) as raised:
        SshHost(sshd.target(known_hosts=known_hosts)).run("true", what="try")
    key = fetch_host_key("127.0.0.1", sshd.port)
    assert f"is not known: ssh-ed25519 {key.fingerprint}" in raised.value.what
    assert raised.value.next_step == (
        f"quoracy host trust 127.0.0.1 --port {sshd.port} --known-hosts {known_hosts}"
    )


def test_changed_key_is_refused_with_both_fingerprints(
    sshd: Sshd, second_sshd: Sshd, tmp_path: Path
) -> None:
    known_hosts = tmp_path / "known_hosts"
    other = fetch_host_key("127.0.0.1", second_sshd.port)
    trust(known_hosts, "127.0.0.1", sshd.port, other)
    with pytest.raises(HostKeyRejected, match="has changed") as raised:
        SshHost(sshd.target(known_hosts=known_hosts)).open()
    assert other.fingerprint in raised.value.what
    assert fetch_host_key("127.0.0.1", sshd.port).fingerprint in raised.value.what


def test_known_hosts_with_a_broken_line_trusts_nobody(sshd: Sshd, tmp_path: Path) -> None:
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(sshd.known_hosts.read_text() + "@revoked somebody ssh-ed25519 AAAA\n")
    with pytest.raises(UsageError, match="not a host key"):
        SshHost(sshd.target(known_hosts=known_hosts)).open()


def test_the_ssh_config_of_the_user_changes_nothing(
    sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text("Host *\n  Port 1\n  HostName 127.0.0.9\n  User x\n")
    (tmp_path / ".fabric.yml").write_text("user: x\nport: 1\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    host = SshHost(sshd.target())
    assert host.run("id -u", what="ask").stdout == b"0\n"
    host.close()


def test_gateway_carries_the_connection(sshd: Sshd, second_sshd: Sshd) -> None:
    host = SshHost(second_sshd.target("two", gateway=sshd.target("jump")))
    assert host.run("echo through", what="try").stdout == b"through\n"
    assert host.send("wc -c", [b"x" * 3_000_000], what="upload").stdout == b"3000000\n"
    host.close()


def test_gateway_that_may_not_forward_makes_the_host_unreachable(
    sshd: Sshd, start_sshd: Callable[..., Sshd]
) -> None:
    jump = start_sshd("AllowTcpForwarding no").target("jump")
    with pytest.raises(HostUnreachable, match="jump: no connection from it to"):
        SshHost(sshd.target("two", gateway=jump)).open()


def test_unknown_key_of_a_gateway_is_refused(sshd: Sshd, second_sshd: Sshd, tmp_path: Path) -> None:
    jump = sshd.target("jump", known_hosts=tmp_path / "none")
    with pytest.raises(HostKeyRejected, match=f"jump: .*{sshd.port} is not known"):
        SshHost(second_sshd.target("two", gateway=jump)).open()


def test_unknown_key_behind_a_gateway_is_refused(
    sshd: Sshd, second_sshd: Sshd, tmp_path: Path
) -> None:
    target = second_sshd.target("two", known_hosts=tmp_path / "none", gateway=sshd.target("jump"))
    with pytest.raises(HostKeyRejected, match=f"two: .*{second_sshd.port} is not known"):
        SshHost(target).open()


def test_names_are_those_of_openssh() -> None:
    assert known_hosts_name("198.51.100.2", 22) == "198.51.100.2"
    assert known_hosts_name("198.51.100.2", 2222) == "[198.51.100.2]:2222"
    assert known_hosts_name("2001:db8::2", 2222) == "[2001:db8::2]:2222"
