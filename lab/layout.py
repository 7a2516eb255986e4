"""Where everything of a lab is and what it is called: names, addresses, interfaces; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from quoracy.errors import UsageError

#: RFC 5737 TEST-NET-2: documentation addresses, never routed, so no real machine can be met.
LAB_RANGE = IPv4Network("198.51.100.0/24")
_SUBNETS = tuple(LAB_RANGE.subnets(new_prefix=27))
#: Labs that fit into the range side by side.
MAX_LABS = len(_SUBNETS)
#: Hosts of one /27: network, broadcast and the controller's own address are not for hosts.
MAX_HOSTS = _SUBNETS[0].num_addresses - 3
_NAME = re.compile(r"[a-z][a-z0-9-]{0,18}[a-z0-9]|[a-z]")


@dataclass(frozen=True, slots=True)
class HostLayout:
    """One practice host as it is laid out; `veth` is the end of its cable on the machine."""

    name: str
    address: IPv4Address
    namespace: str
    veth: str


@dataclass(frozen=True, slots=True)
class LabLayout:
    """One lab as it is laid out; `controller` is the machine's own address on the lab's bridge."""

    name: str
    index: int
    subnet: IPv4Network
    controller: IPv4Address
    bridge: str
    hosts: tuple[HostLayout, ...]


def lay_out(name: str, index: int, count: int) -> LabLayout:
    """Lay out a lab of `count` hosts in the /27 number `index`.

    Interface names carry the index, not the name, as Linux allows them 15 characters only.

    Raises:
        UsageError: The name or the number of hosts cannot be used.
    """
    check_name(name)
    if not 1 <= count <= MAX_HOSTS:
        raise UsageError(
            f"a lab has 1 to {MAX_HOSTS} hosts, not {count}",
            where=f"lab {name}",
            next_step="give another number with --hosts",
        )
    subnet = _SUBNETS[index]
    first = subnet.network_address + 1
    hosts = tuple(
        HostLayout(f"{name}-{n}", first + n, f"quoracy-{name}-{n}", f"qlab{index}-{n}")
        for n in range(1, count + 1)
    )
    return LabLayout(name, index, subnet, first, f"qlab{index}", hosts)


def check_name(name: str) -> None:
    """Refuse a lab name that cannot be part of a host name.

    Raises:
        UsageError: The name cannot be used.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be the name of a lab",
            next_step="use lower-case letters, digits and dashes, at most 20, starting with a letter",
        )


def first_free(taken: set[int]) -> int:
    """Return the lowest /27 number that no lab has.

    Raises:
        UsageError: All of them are taken.
    """
    for index in range(MAX_LABS):
        if index not in taken:
            return index
    raise UsageError(
        f"all {MAX_LABS} subnets of {LAB_RANGE} belong to a lab",
        next_step="take one down: `quoracy lab list`, then `quoracy lab down NAME`",
    )


def foreign_routes(routes: list[IPv4Network], subnet: IPv4Network) -> list[IPv4Network]:
    """Return the routes of the machine that reach into a subnet no lab has yet.

    The default route says nothing, and the blackhole for the whole range is the labs' own; callers
    leave it out by its type.
    """
    return [route for route in routes if route.prefixlen > 0 and route.overlaps(subnet)]
