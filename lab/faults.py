"""What can go wrong with a practice host's network and disk, and how it is put right again.

Latency is not among them: tc's netem is missing from many kernels, and a relay would be seen.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from lab.hosts import LabHost, in_namespace
from lab.machine import run

#: Both hooks run before any other filter (priority filter - 10), so that no rule accepts first.
_TABLE = """\
add table ip quoracy_lab
add set ip quoracy_lab cut { type ipv4_addr; }
add set ip quoracy_lab ports { type inet_service; }
add chain ip quoracy_lab in { type filter hook input priority -10; }
add chain ip quoracy_lab out { type filter hook output priority -10; }
flush chain ip quoracy_lab in
flush chain ip quoracy_lab out
add rule ip quoracy_lab in ip saddr @cut drop
add rule ip quoracy_lab out ip daddr @cut drop
add rule ip quoracy_lab in tcp dport @ports drop
add rule ip quoracy_lab out tcp sport @ports drop
"""
_FILLING = "var/lab-fill"


def cut_rules(addresses: Iterable[str]) -> str:
    """Return the nft script that drops all packets from and to addresses, on top of other cuts."""
    return f"{_TABLE}add element ip quoracy_lab cut {{ {', '.join(addresses)} }}\n"


def heal_rules(address: str) -> str:
    """Return the nft script that takes back the cut from one address, when there is one.

    Adding first makes the deletion succeed in any case; nft applies the script as a whole.
    """
    element = f"element ip quoracy_lab cut {{ {address} }}\n"
    return f"{_TABLE}add {element}delete {element}"


def cut(host: LabHost, addresses: list[str]) -> None:
    """Drop all packets between a host and addresses."""
    rules = cut_rules(addresses).encode()
    in_namespace(host, ("nft", "-f", "-"), what="cutting the network", stdin=rules)


def cut_port(host: LabHost, port: int) -> None:
    """Drop all packets to and from one TCP port of a host, on top of other cuts."""
    rules = f"{_TABLE}add element ip quoracy_lab ports {{ {port} }}\n".encode()
    in_namespace(host, ("nft", "-f", "-"), what="cutting a port", stdin=rules)


def heal(host: LabHost, others: Iterable[LabHost]) -> None:
    """Take back all cuts made on a host, and those between it and others made on them."""
    flush = f"{_TABLE}delete table ip quoracy_lab\n".encode()
    in_namespace(host, ("nft", "-f", "-"), what="healing the network", stdin=flush)
    rules = heal_rules(host.address).encode()
    for other in others:
        in_namespace(other, ("nft", "-f", "-"), what="healing the network", stdin=rules)


def limit_command(interface: str, rate: str) -> tuple[str, ...]:
    """Return the command that limits what leaves through an interface.

    The burst holds one packet of the largest size the kernel hands over (64 KiB): a smaller one
    would drop it instead of delaying it.
    """
    limit = ("tbf", "rate", rate, "burst", "64kb", "latency", "400ms")
    return ("tc", "qdisc", "replace", "dev", interface, "root", *limit)


def slow(host: LabHost, rate: str) -> None:
    """Limit what a host sends (at its end of the cable) and receives (at the machine's end)."""
    in_namespace(host, limit_command("eth0", rate), what="limiting the bandwidth")
    run(limit_command(host.veth, rate), what=f"limiting the bandwidth to {host.name}")


def full_speed(host: LabHost) -> None:
    """Take back a limit of the bandwidth, when there is one."""
    for interface, inside in (("eth0", True), (host.veth, False)):
        # noqueue is what a cable has without a limit; replacing with it always succeeds.
        command = ("tc", "qdisc", "replace", "dev", interface, "root", "noqueue")
        if inside:
            in_namespace(host, command, what="lifting the limit of the bandwidth")
        else:
            run(command, what=f"lifting the limit of the bandwidth to {host.name}")


def fill_disk(host: LabHost, leave: int) -> None:
    """Fill a host's disk but for `leave` bytes (whole blocks of the file system)."""
    free_disk(host)
    with (host.root / _FILLING).open("wb") as file:
        status = os.fstatvfs(file.fileno())
        size = (status.f_bavail - leave // status.f_bsize) * status.f_bsize
        _take(file.fileno(), max(size, 0), status.f_bsize)


def _take(descriptor: int, size: int, block: int) -> None:
    """Allocate as much of `size` bytes as there is: the file system's own blocks take some too."""
    taken, step = 0, size
    while step >= block:
        try:
            os.posix_fallocate(descriptor, taken, min(step, size - taken) or block)
        except OSError:
            step //= 2
            continue
        taken += min(step, size - taken)
        if taken >= size:
            return


def free_disk(host: LabHost) -> None:
    """Give back what was filled, when anything was."""
    (host.root / _FILLING).unlink(missing_ok=True)
