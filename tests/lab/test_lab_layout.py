"""Names and addresses of labs."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from lab.layout import (
    LAB_RANGE,
    MAX_HOSTS,
    MAX_LABS,
    check_name,
    first_free,
    foreign_routes,
    lay_out,
)
from quoracy.errors import UsageError


def test_the_controller_has_the_first_address_and_hosts_the_next() -> None:
    lab = lay_out("demo", 0, 3)
    assert lab.controller == IPv4Address("198.51.100.1")
    assert [(host.name, str(host.address)) for host in lab.hosts] == [
        ("demo-1", "198.51.100.2"),
        ("demo-2", "198.51.100.3"),
        ("demo-3", "198.51.100.4"),
    ]


def test_labs_of_all_indexes_at_full_size_share_nothing() -> None:
    labs = [lay_out("demo", index, MAX_HOSTS) for index in range(MAX_LABS)]
    addresses = [host.address for lab in labs for host in lab.hosts]
    addresses += [lab.controller for lab in labs]
    interfaces = [host.veth for lab in labs for host in lab.hosts] + [lab.bridge for lab in labs]
    assert len(set(addresses)) == len(addresses) == MAX_LABS * (MAX_HOSTS + 1)
    assert len(set(interfaces)) == len(interfaces)
    assert all(address in LAB_RANGE for address in addresses)


def test_interface_names_fit_into_fifteen_characters_however_long_the_name_is() -> None:
    lab = lay_out("a" * 20, MAX_LABS - 1, MAX_HOSTS)
    assert max(len(host.veth) for host in lab.hosts) <= 15


@pytest.mark.parametrize("count", [-1, 0, MAX_HOSTS + 1])
def test_a_number_of_hosts_that_does_not_fit_is_refused(count: int) -> None:
    with pytest.raises(UsageError, match="hosts"):
        lay_out("demo", 0, count)


@pytest.mark.parametrize("name", ["a", "demo", "demo-2", "a" * 20])
def test_good_names(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    "name", ["", "Demo", "1a", "-a", "a-", "a_b", "a/b", "..", "a" * 21, "a\n"]
)
def test_names_that_cannot_be_host_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name"):
        check_name(name)


def test_a_lab_that_is_gone_leaves_its_subnet_to_the_next() -> None:
    assert first_free(set()) == 0
    assert first_free({0, 2}) == 1
    with pytest.raises(UsageError, match="belong to a lab"):
        first_free(set(range(MAX_LABS)))


def test_routes_into_the_subnet_are_foreign_and_the_default_route_is_not() -> None:
    subnet = IPv4Network("198.51.100.32/27")
    harmless = [IPv4Network("0.0.0.0/0"), IPv4Network("198.51.100.0/27"), IPv4Network("10.0.0.0/8")]
    reaching = [IPv4Network("198.51.100.0/24"), IPv4Network("198.51.100.40/32")]
    assert foreign_routes([*harmless, *reaching], subnet) == reaching
