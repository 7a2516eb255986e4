"""Real practice hosts: what they are, and that every fault comes and goes."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import places
from lab.hosts import LabHost
from lab.lab import Lab

pytestmark = pytest.mark.lab
#: Bytes sent over a limited cable; at 8 Mbit/s they take a second, else a few milliseconds.
_BULK = 1_000_000


@pytest.fixture
def first(lab: Lab) -> Iterator[LabHost]:
    """The first host; whatever the test did to it is taken back."""
    host = lab.hosts[0]
    yield host
    lab.heal(host.name)
    lab.free_disk(host.name)
    lab.resume(host.name)
    lab.power_on(host.name)
    lab.wait_for_ssh(host.name)


def _ssh(lab: Lab, host: LabHost, command: str) -> subprocess.CompletedProcess[bytes]:
    target = lab.target(host.name)
    options = ("-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes")
    identity = ("-o", f"UserKnownHostsFile={target.known_hosts}", "-i", str(target.key_file))
    login = f"root@{target.address}"
    return subprocess.run(
        ("ssh", *options, *identity, login, command), capture_output=True, check=False
    )


def _reaches(lab: Lab, source: LabHost, destination: LabHost, seconds: int = 20) -> bool:
    script = f"timeout {seconds} bash -c 'head -c 4 < /dev/tcp/{destination.address}/22' || true"
    return lab.shell(source.name, script) == b"SSH-"


def _is_lost_to(lab: Lab, source: LabHost, destination: LabHost) -> bool:
    # Nothing can ever answer where packets are dropped, so a short wait proves as much as a long.
    return not _reaches(lab, source, destination, seconds=1)


def test_all_hosts_run_without_a_failed_unit_and_reach_each_other(lab: Lab) -> None:
    for host in lab.hosts:
        lab.shell(host.name, "systemctl is-system-running --wait")
        assert all(_reaches(lab, host, other) for other in lab.hosts)


def test_ssh_works_with_strict_host_keys_and_each_host_is_itself(lab: Lab) -> None:
    for host in lab.hosts:
        done = _ssh(lab, host, "hostname; id -u")
        assert done.stdout.decode().split() == [host.name, "0"], done.stderr
    identities = {lab.shell(host.name, "cat /etc/machine-id") for host in lab.hosts}
    assert len(identities) == len(lab.known_hosts.read_text().splitlines()) == len(lab.hosts)


def test_nothing_leaves_the_lab(lab: Lab) -> None:
    routes = lab.shell(lab.hosts[0].name, "ip -4 route show").decode().splitlines()
    assert [route.split()[0] for route in routes] == [lab.record.subnet]


def test_a_unit_is_stopped_on_one_host_alone(lab: Lab) -> None:
    one, two = lab.hosts[0].name, lab.hosts[1].name
    for name in (one, two):
        lab.shell(name, "systemd-run --quiet --unit=same-name sleep 1000")
    lab.shell(one, "systemctl stop same-name")
    assert lab.shell(two, "systemctl is-active same-name") == b"active\n"
    lab.shell(two, "systemctl stop same-name")


def test_after_a_power_cut_the_disk_is_as_it_was_and_the_boot_another(
    lab: Lab, first: LabHost
) -> None:
    boot = "cat /proc/sys/kernel/random/boot_id"
    before = lab.shell(first.name, f"echo kept > /root/file; {boot}")
    lab.power_off(first.name)
    lab.power_off(first.name)
    assert first.state == "off"
    assert _is_lost_to(lab, lab.hosts[1], first)
    lab.power_on(first.name)
    lab.wait_for_ssh(first.name)
    assert lab.shell(first.name, "cat /root/file") == b"kept\n"
    assert lab.shell(first.name, boot) != before


def test_a_host_that_reboots_itself_comes_back(lab: Lab, first: LabHost) -> None:
    before = lab.shell(first.name, "cat /proc/sys/kernel/random/boot_id; systemctl reboot")
    pid = first.leader
    while first.leader in (pid, None):
        os.sched_yield()
    lab.wait_for_ssh(first.name)
    assert lab.shell(first.name, "cat /proc/sys/kernel/random/boot_id") != before


def test_a_paused_host_keeps_its_connections_and_answers_nobody(lab: Lab, first: LabHost) -> None:
    lab.pause(first.name)
    assert first.state == "paused"
    assert _is_lost_to(lab, lab.hosts[1], first)
    lab.resume(first.name)
    assert first.state == "running"
    assert _reaches(lab, lab.hosts[1], first)


def test_a_paused_host_can_lose_its_power_and_boots_running(lab: Lab, first: LabHost) -> None:
    lab.pause(first.name)
    lab.power_off(first.name)
    assert first.state == "off"
    lab.power_on(first.name)
    assert first.state == "running"


def test_a_cut_between_two_hosts_leaves_the_others_and_heals_from_either_side(
    lab: Lab, first: LabHost
) -> None:
    second, third = lab.hosts[1:3]
    lab.cut(first.name, second.name)
    assert _is_lost_to(lab, first, second)
    assert _is_lost_to(lab, second, first)
    assert _reaches(lab, first, third)
    assert _ssh(lab, first, "true").returncode == 0
    lab.heal(second.name)
    assert _reaches(lab, first, second)


def test_a_host_cut_from_all_is_alone_until_it_is_healed(lab: Lab, first: LabHost) -> None:
    lab.cut(first.name)
    assert all(_is_lost_to(lab, first, other) for other in lab.hosts[1:])
    assert _reaches(lab, lab.hosts[1], lab.hosts[2])
    lab.heal(first.name)
    assert _ssh(lab, first, "true").returncode == 0


def test_a_host_cut_from_the_controller_still_has_its_peers(lab: Lab, first: LabHost) -> None:
    lab.cut(first.name, "controller")
    assert _ssh_fails_to_connect(lab, first)
    assert _reaches(lab, first, lab.hosts[1])


def _ssh_fails_to_connect(lab: Lab, host: LabHost) -> bool:
    # Not _ssh: its connect would wait for TCP to give up, minutes.
    probe = f"timeout 1 bash -c 'head -c 4 < /dev/tcp/{host.address}/22'"
    return subprocess.run(("sh", "-c", probe), capture_output=True, check=False).returncode != 0


def test_a_slow_host_queues_what_it_sends_and_a_healed_one_does_not(
    lab: Lab, first: LabHost
) -> None:
    lab.slow(first.name, "8mbit")
    assert len(_ssh(lab, first, f"head -c {_BULK} /dev/zero").stdout) == _BULK
    assert _overlimits(lab, first) > 0
    lab.heal(first.name)
    assert "tbf" not in lab.shell(first.name, "tc qdisc show dev eth0").decode()


def _overlimits(lab: Lab, host: LabHost) -> int:
    """How often the limit made a packet wait, by the kernel's own count."""
    statistics = lab.shell(host.name, "tc -s qdisc show dev eth0").decode()
    found = re.search(r"overlimits (\d+)", statistics)
    assert found, statistics
    return int(found[1])


def test_a_full_disk_is_full_for_this_host_alone(lab: Lab, first: LabHost) -> None:
    write = "head -c 1000000 /dev/zero 2>&1 > /root/file; rm /root/file"
    lab.fill_disk(first.name)
    assert b"No space left" in lab.shell(first.name, write)
    assert lab.shell(lab.hosts[1].name, write) == b""
    lab.free_disk(first.name)
    assert lab.shell(first.name, write) == b""


def test_the_disk_can_be_filled_to_a_given_rest(lab: Lab, first: LabHost) -> None:
    lab.fill_disk(first.name, leave=20_000_000)
    free = int(lab.shell(first.name, "df --output=avail -B1 / | tail -1"))
    assert 19_000_000 < free <= 20_100_000


def test_the_archives_match_their_checksums_and_their_etcd_runs_on_a_host(
    lab: Lab, first: LabHost
) -> None:
    check = ("sha256sum", "--check", "--strict", "SHA256SUMS")
    subprocess.run(check, cwd=lab.archives, check=True, capture_output=True)
    seen = []
    for archive in sorted(lab.archives.glob("*.tar.gz")):
        top = archive.name.removesuffix(".tar.gz")
        subprocess.run(("tar", "-xzf", archive, "-C", first.root / "opt"), check=True)
        version = lab.shell(first.name, f"/opt/{top}/etcd --version").decode().split()[2]
        assert top.startswith(f"etcd-v{version}-linux-")
        lab.shell(first.name, f"rm -r /opt/{top}")
        seen.append(version)
    assert {"3.4.23", "3.5.16"} <= set(seen)
    assert any(v.startswith("3.5.") and int(v.split(".")[2]) >= 30 for v in seen)


def test_the_hosts_have_no_agent_and_no_curl(lab: Lab, first: LabHost) -> None:
    """Python is there for services that are written in it; that etcd needs none, the scenarios show."""
    script = "for p in curl wget npm go pip3; do command -v $p || true; done"
    assert lab.shell(first.name, script) == b""


def test_the_root_of_a_host_is_on_a_disk_of_its_own(lab: Lab) -> None:
    devices = {os.stat(Path(host.directory) / "disk").st_dev for host in lab.hosts}  # noqa: PTH116
    assert len(devices) == len(lab.hosts)


@pytest.mark.skipif(not Path("/usr/sbin/debugfs").exists(), reason="reads a disk with debugfs")
def test_other_users_of_the_machine_can_read_and_run_nothing_of_a_host(lab: Lab) -> None:
    """A disk holds keys, and what is setuid there would run as root here."""
    host = lab.hosts[0]
    lab.shell(host.name, "cp /usr/bin/id /opt/setuid-id && chmod 4755 /opt/setuid-id")
    own = places.labs() / lab.name / "hosts" / host.name
    assert (own / "root/opt/setuid-id").exists()
    tried = (
        ("cat", f"{own}/disk.img"),
        ("debugfs", "-R", "ls", f"{own}/disk.img"),
        (f"{own}/root/opt/setuid-id",),
        (f"{own}/disk/upper/opt/setuid-id",),
        ("find", str(places.cache())),
    )
    for command in tried:
        done = subprocess.run(
            ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", *command),
            capture_output=True,
            check=False,
        )
        assert b"ermission denied" in done.stderr, (command, done)
    lab.shell(host.name, "rm /opt/setuid-id")
