"""The commands that labs are made of, whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import base, faults, network
from lab.debian import Mirror, carried_settings, mirror_uri
from lab.layout import lay_out
from quoracy.errors import QuoracyError


def test_network_of_one_host() -> None:
    commands = [" ".join(command) for command in network.build_commands(lay_out("demo", 1, 1))]
    assert commands == [
        "ip route replace blackhole 198.51.100.0/24",
        "ip link add qlab1 type bridge",
        "ip address add 198.51.100.33/27 dev qlab1",
        "ip link set qlab1 up",
        "ip netns add quoracy-demo-1",
        "ip link add qlab1-1 type veth peer name eth0 netns quoracy-demo-1",
        "ip link set qlab1-1 master qlab1 up",
        "ip -n quoracy-demo-1 address add 198.51.100.34/27 dev eth0",
        "ip -n quoracy-demo-1 link set eth0 up",
        "ip -n quoracy-demo-1 link set lo up",
    ]


def test_no_host_gets_a_default_route() -> None:
    commands = network.build_commands(lay_out("demo", 0, 29))
    assert not [command for command in commands if "default" in command or "via" in command]


def test_only_what_is_there_is_removed_and_only_of_this_lab() -> None:
    lab = lay_out("demo", 0, 2)
    there = ["lo", "eth0", "qlab0", "qlab0-2", "qlab1", "quoracy-demo-1", "quoracy-other-1"]
    assert network.remove_commands(lab, there) == [
        ("ip", "netns", "delete", "quoracy-demo-1"),
        ("ip", "link", "delete", "qlab0-2"),
        ("ip", "link", "delete", "qlab0"),
    ]
    assert network.remove_commands(lab, []) == []


def test_bandwidth_limit() -> None:
    assert " ".join(faults.limit_command("eth0", "2mbit")) == (
        "tc qdisc replace dev eth0 root tbf rate 2mbit burst 64kb latency 400ms"
    )


def test_a_cut_drops_both_ways_and_adds_to_earlier_cuts() -> None:
    rules = faults.cut_rules(["198.51.100.3", "198.51.100.4"])
    assert "ip saddr @cut drop" in rules
    assert "ip daddr @cut drop" in rules
    assert rules.endswith("add element ip quoracy_lab cut { 198.51.100.3, 198.51.100.4 }\n")
    assert "flush set" not in rules


def test_healing_one_address_succeeds_where_nothing_was_cut() -> None:
    adds, deletes = faults.heal_rules("198.51.100.3").splitlines()[-2:]
    assert adds == "add element ip quoracy_lab cut { 198.51.100.3 }"
    assert deletes == "delete element ip quoracy_lab cut { 198.51.100.3 }"


def test_base_comes_from_the_machines_own_mirror_with_its_settings() -> None:
    mirror = Mirror("http://mirror.example/debian", ('Acquire::http::Proxy "http://proxy:3142";',))
    command = base.build_command(mirror, Path("/cache/base"))
    assert command[0] == "mmdebstrap"
    assert '--aptopt=Acquire::http::Proxy "http://proxy:3142";' in command
    assert command[-3:-1] == ("bookworm", "/cache/base")
    assert command[-1].startswith("deb ")
    assert command[-1].endswith("http://mirror.example/debian bookworm main")


def test_hosts_get_runtimes_for_services_and_nothing_to_fetch_or_build_with() -> None:
    assert {"nodejs", "python3", "python3-venv", "nginx"} < set(base.PACKAGES)
    assert not {"curl", "wget", "npm", "golang-go", "python3-pip"} & set(base.PACKAGES)


def test_mirror_is_the_one_of_a_debian_release() -> None:
    indexes = (
        "'http://security.example/debian-security/dists/bookworm-security/InRelease' x 0 \n"
        "'https://other.example/apt/dists/nodistro/InRelease' x 0 \n"
        "'http://mirror.example/debian/dists/bookworm-updates/InRelease' x 0 \n"
        "'http://mirror.example/debian/dists/bookworm/InRelease' x 0 \n"
    )
    assert mirror_uri(indexes) == "http://mirror.example/debian"


def test_a_machine_without_a_debian_mirror_is_told_so() -> None:
    with pytest.raises(QuoracyError, match="no Debian mirror"):
        mirror_uri("'http://archive.example/ubuntu/dists/noble/InRelease' x 0 \n")


def test_settings_that_decide_how_a_mirror_is_reached_are_carried_along() -> None:
    dump = 'APT "";\nAcquire::http::Proxy "http://p:1";\nAcquire::Check-Date "false";\nDpkg "";\n'
    assert carried_settings(dump) == (
        'Acquire::http::Proxy "http://p:1";',
        'Acquire::Check-Date "false";',
    )
