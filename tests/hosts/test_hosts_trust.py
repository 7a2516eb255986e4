from __future__ import annotations

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import paramiko
import pytest

from quoracy.errors import HostUnreachable, Refused, UsageError
from quoracy.hosts.trust import HostKey, fetch_host_key, host_key_of, trust, trusted_keys
from tests.hosts.loopback_sshd import Relay, Sshd, free_port, make_key


@pytest.fixture
def key(tmp_path: Path) -> HostKey:
    return host_key_of(paramiko.PKey.from_path(make_key(tmp_path / "key")))


def test_the_key_of_a_host_is_what_ssh_keygen_shows(sshd: Sshd) -> None:
    key = fetch_host_key("127.0.0.1", sshd.port)
    shown = subprocess.run(
        ("ssh-keygen", "-l", "-f", str(sshd.known_hosts)), capture_output=True, check=True
    )
    assert key.type == "ssh-ed25519"
    assert key.fingerprint in shown.stdout.decode()


def test_a_host_that_is_away_has_no_key(start_relay: Callable[..., Relay]) -> None:
    with pytest.raises(HostUnreachable, match="no host key could be read"):
        fetch_host_key("127.0.0.1", free_port(), timeout=5)
    with pytest.raises(HostUnreachable, match="no host key could be read"):
        fetch_host_key("127.0.0.1", start_relay(1, hang_up_on=1).port, timeout=5)


def test_a_trusted_key_is_recorded_as_openssh_does(tmp_path: Path, key: HostKey) -> None:
    known_hosts = tmp_path / "new" / "known_hosts"
    assert trust(known_hosts, "198.51.100.2", 22, key)
    assert trust(known_hosts, "198.51.100.2", 2222, key)
    assert known_hosts.read_text() == (
        f"198.51.100.2 ssh-ed25519 {key.base64}\n[198.51.100.2]:2222 ssh-ed25519 {key.base64}\n"
    )
    assert known_hosts.stat().st_mode & 0o777 == 0o600
    found = ("ssh-keygen", "-F", "[198.51.100.2]:2222", "-f", str(known_hosts))
    assert key.base64.encode() in subprocess.run(found, capture_output=True, check=True).stdout


def test_the_same_key_again_changes_nothing(tmp_path: Path, key: HostKey) -> None:
    known_hosts = tmp_path / "known_hosts"
    trust(known_hosts, "198.51.100.2", 22, key)
    before = known_hosts.read_bytes()
    assert not trust(known_hosts, "198.51.100.2", 22, key)
    assert known_hosts.read_bytes() == before


def test_a_host_recorded_under_a_hashed_name_is_recognized(tmp_path: Path, key: HostKey) -> None:
    known_hosts = tmp_path / "known_hosts"
    trust(known_hosts, "198.51.100.2", 22, key)
    subprocess.run(("ssh-keygen", "-q", "-H", "-f", str(known_hosts)), check=True, stderr=-3)
    assert "198.51.100.2" not in known_hosts.read_text()
    assert not trust(known_hosts, "198.51.100.2", 22, key)


def test_another_key_is_refused(tmp_path: Path, key: HostKey) -> None:
    known_hosts = tmp_path / "known_hosts"
    trust(known_hosts, "198.51.100.2", 22, key)
    before = known_hosts.read_bytes()
    other = host_key_of(paramiko.PKey.from_path(make_key(tmp_path / "other")))
    with pytest.raises(Refused) as raised:
        trust(known_hosts, "198.51.100.2", 22, other)
    assert other.fingerprint in raised.value.what
    assert key.fingerprint in raised.value.what
    assert f"ssh-keygen -R 198.51.100.2 -f {known_hosts}" in raised.value.next_step
    assert known_hosts.read_bytes() == before


def test_a_key_of_another_type_is_another_key(tmp_path: Path, key: HostKey) -> None:
    known_hosts = tmp_path / "known_hosts"
    trust(known_hosts, "198.51.100.2", 22, key)
    rsa = host_key_of(paramiko.RSAKey.generate(2048))
    with pytest.raises(Refused):
        trust(known_hosts, "198.51.100.2", 22, rsa)


def test_other_lines_stay_as_they_are(tmp_path: Path, key: HostKey) -> None:
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text("# ours\n\nold.example sk-unknown@example AAAA")
    trust(known_hosts, "198.51.100.2", 22, key)
    assert known_hosts.read_text().splitlines()[:3] == [
        "# ours",
        "",
        "old.example sk-unknown@example AAAA",
    ]
    assert [one.host for one in trusted_keys(known_hosts)] == ["198.51.100.2"]


def test_a_link_stays_a_link(tmp_path: Path, key: HostKey) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "known_hosts")
    trust(link, "198.51.100.2", 22, key)
    assert link.is_symlink()
    assert len(trusted_keys(tmp_path / "known_hosts")) == 1


def test_keys_added_at_once_are_all_there(tmp_path: Path, key: HostKey) -> None:
    known_hosts = tmp_path / "known_hosts"
    with ThreadPoolExecutor(8) as threads:
        added = threads.map(lambda n: trust(known_hosts, f"host-{n}", 22, key), range(40))
        assert all(added)
    assert {one.host for one in trusted_keys(known_hosts)} == {f"host-{n}" for n in range(40)}


def test_a_file_that_cannot_be_understood_is_not_written(tmp_path: Path, key: HostKey) -> None:
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text("somebody ssh-ed25519 broken\n")
    with pytest.raises(UsageError, match="not a host key"):
        trust(known_hosts, "198.51.100.2", 22, key)
    assert known_hosts.read_text() == "somebody ssh-ed25519 broken\n"
