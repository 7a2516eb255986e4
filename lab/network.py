"""The network of a lab: one bridge on the machine, one cable into the namespace of each host.

Hosts have no default route and the range is a blackhole but for the bridges, so nothing leaves.
The functions that return commands are pure; `apply` runs them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from ipaddress import IPv4Network
from pathlib import Path

from lab.layout import LAB_RANGE, HostLayout, LabLayout
from lab.machine import run

Command = tuple[str, ...]
_NAMESPACES = Path("/run/netns")
_INTERFACES = Path("/sys/class/net")


def build_commands(lab: LabLayout) -> list[Command]:
    """Return the commands that build the network of a lab, in order."""
    address = f"{lab.controller}/{lab.subnet.prefixlen}"
    commands: list[Command] = [
        ("ip", "route", "replace", "blackhole", str(LAB_RANGE)),
        ("ip", "link", "add", lab.bridge, "type", "bridge"),
        ("ip", "address", "add", address, "dev", lab.bridge),
        ("ip", "link", "set", lab.bridge, "up"),
    ]
    for host in lab.hosts:
        commands += _host_commands(lab, host)
    return commands


def _host_commands(lab: LabLayout, host: HostLayout) -> list[Command]:
    space = host.namespace
    peer = ("peer", "name", "eth0", "netns", space)
    address = f"{host.address}/{lab.subnet.prefixlen}"
    return [
        ("ip", "netns", "add", space),
        ("ip", "link", "add", host.veth, "type", "veth", *peer),
        ("ip", "link", "set", host.veth, "master", lab.bridge, "up"),
        ("ip", "-n", space, "address", "add", address, "dev", "eth0"),
        ("ip", "-n", space, "link", "set", "eth0", "up"),
        ("ip", "-n", space, "link", "set", "lo", "up"),
    ]


def remove_commands(lab: LabLayout, present: Iterable[str]) -> list[Command]:
    """Return the commands that remove what is present of a lab's network.

    Args:
        lab: The lab.
        present: Names of the interfaces and network namespaces that the machine has.
    """
    there = set(present)
    commands: list[Command] = []
    for host in lab.hosts:
        if host.veth in there:
            commands.append(("ip", "link", "delete", host.veth))
        if host.namespace in there:
            commands.append(("ip", "netns", "delete", host.namespace))
    if lab.bridge in there:
        commands.append(("ip", "link", "delete", lab.bridge))
    return commands


def remove_blackhole() -> None:
    """Remove the labs' blackhole route when it is there; for when the last lab is gone."""
    listed = run(("ip", "-j", "route", "show", "type", "blackhole"), what="reading the routes")
    if any(route["dst"] == str(LAB_RANGE) for route in json.loads(listed or b"[]")):
        run(("ip", "route", "delete", "blackhole", str(LAB_RANGE)), what="removing a route")


def present() -> list[str]:
    """Return the names of this machine's network interfaces and named network namespaces."""
    places = [place for place in (_INTERFACES, _NAMESPACES) if place.is_dir()]
    return [entry.name for place in places for entry in place.iterdir()]


def routes() -> list[IPv4Network]:
    """Return where this machine has routes to, the labs' blackhole left out."""
    listed = json.loads(run(("ip", "-4", "-j", "route", "show"), what="reading the routes"))
    return [
        IPv4Network("0.0.0.0/0" if route["dst"] == "default" else route["dst"])
        for route in listed
        if route.get("type") != "blackhole"
    ]


def apply(commands: Iterable[Command], *, what: str) -> None:
    """Run commands one after the other; the first that fails stops them."""
    for command in commands:
        run(command, what=what)
