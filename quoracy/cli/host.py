"""`quoracy host`: which hosts' keys are trusted."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quoracy.cli.screen import Console, say
from quoracy.errors import UsageError

if TYPE_CHECKING:
    from quoracy.hosts.trust import HostKey

host_app = typer.Typer(help="Trust hosts' SSH keys.", no_args_is_help=True)

KnownHosts = Annotated[
    Path | None,
    typer.Option(help="File of trusted keys. Default: known_hosts in QUORACY_HOME."),
]


@host_app.command("trust")
def trust_hosts(
    addresses: Annotated[
        list[str], typer.Argument(metavar="ADDRESS...", help="IP addresses or DNS names.")
    ],
    port: Annotated[int, typer.Option(min=1, max=65535, help="TCP port of sshd.")] = 22,
    known_hosts: KnownHosts = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Trust without asking; compare the keys yourself.")
    ] = False,
) -> None:
    """Show the fingerprint of each host's SSH key and trust it when you say so.

    Compare it with what the host itself says: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub
    """
    from quoracy.hosts.trust import fetch_host_key  # importing paramiko takes 0.2 s

    addresses = [_checked(address) for address in addresses]
    if not yes and not sys.stdin.isatty():
        raise UsageError(
            "nobody can be asked whether the keys are right: this is not a terminal",
            next_step="compare the fingerprints, then run it again with --yes",
        )
    file = known_hosts or _default_known_hosts()
    declined = False
    for address in addresses:
        key = fetch_host_key(address, port)
        say(f"{address} port {port} has the key {key.type} {key.fingerprint}")
        if yes or _is_already_trusted(file, address, port, key) or typer.confirm("Trust it?"):
            added = _trust(file, address, port, key)
            say(f"  trusted in {file}" if added else f"  was trusted already in {file}")
        else:
            declined = True
            say("  not trusted")
    if declined:
        raise typer.Exit(1)


@host_app.command("list")
def list_hosts(
    known_hosts: KnownHosts = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the hosts whose keys are trusted."""
    from quoracy.hosts.trust import trusted_keys

    file = known_hosts or _default_known_hosts()
    rows = [
        {"host": one.host, "type": one.key.type, "fingerprint": one.key.fingerprint}
        for one in trusted_keys(file)
    ]
    if as_json:
        say(json.dumps(rows, indent=2))
    elif not rows:
        say(f"No host is trusted in {file}; trust one with: quoracy host trust ADDRESS")
    else:
        _print_table(rows)


def _checked(address: str) -> str:
    from quoracy.specs import fields

    try:
        return fields.address(address)
    except ValueError as error:
        raise UsageError(
            f"{address[:60]!a} {error}", next_step="give the address that the cluster's spec has"
        ) from None


def _trust(file: Path, address: str, port: int, key: HostKey) -> bool:
    from quoracy.hosts.trust import trust

    try:
        return trust(file, address, port, key)
    except OSError as error:
        raise UsageError(
            f"cannot be written: {error.strerror}",
            where=str(file),
            next_step="name a file that you may write with --known-hosts",
        ) from None


def _is_already_trusted(known_hosts: Path, address: str, port: int, key: HostKey) -> bool:
    from quoracy.hosts.trust import TrustedKey, known_hosts_name, trusted_keys

    return TrustedKey(known_hosts_name(address, port), key) in trusted_keys(known_hosts)


def _print_table(rows: list[dict[str, str]]) -> None:
    from rich.table import Table

    table = Table("Host", "Type", "Fingerprint")
    for row in rows:
        table.add_row(row["host"], row["type"], row["fingerprint"])
    Console().print(table)


def _default_known_hosts() -> Path:
    from quoracy.home import load_home

    return load_home().known_hosts
