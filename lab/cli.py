"""`quoracy lab`: practice hosts on this machine, and what can go wrong with them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from lab import lifecycle, records
from lab.lab import Lab
from lab.machine import environment, missing
from lab.records import Record
from quoracy.cli.screen import Console, say
from quoracy.errors import UsageError

lab_app = typer.Typer(
    name="lab",
    help="Practice hosts: real systemd and sshd on this machine.",
    no_args_is_help=True,
)
fault_app = typer.Typer(
    name="fault", help="Break a practice host, and put it right again.", no_args_is_help=True
)
lab_app.add_typer(fault_app)

Host = Annotated[str, typer.Argument(help="Name of the host, such as demo-1.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON for scripts.")]


@lab_app.command()
def up(
    hosts: Annotated[int, typer.Option(help="Number of hosts.")] = 3,
    name: Annotated[str, typer.Option(help="Name of the lab.")] = "demo",
    directory: Annotated[
        Path | None, typer.Option(help="Where the lab keeps everything; emptied by `down`.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start a lab, or what is off of it; the first one on a machine takes a minute more."""
    lab = Lab.up(name, hosts, directory)
    if as_json:
        say(json.dumps(_described(lab.record)))
        return
    _show([lab.record])
    say("Next:")
    say(f"  quoracy cluster apply -f {lab.cluster_yaml}")
    say("  quoracy up    # or --without-prefect with what follows")
    say(f"  quoracy etcd-deploy {name}")
    say(f"  quoracy lab ssh {lab.hosts[0].name}")
    say(f"  quoracy lab down {name}")


@lab_app.command()
def down(
    name: Annotated[str | None, typer.Argument(help="Name of the lab.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All labs of this machine.")] = False,
) -> None:
    """Stop the hosts and remove all of the lab, its directory and backups included."""
    if everything == (name is not None):
        raise UsageError("give either the name of a lab or --all", next_step="`quoracy lab list`")
    names = [record.name for record in records.read_all()] if name is None else [name]
    for each in names:
        removed = lifecycle.down(each)
        say(f"lab {each}: {'removed' if removed else 'there was none'}")


@lab_app.command("list")
def list_labs(as_json: AsJson = False) -> None:
    """Show the labs of this machine and the present state of their hosts."""
    found = records.read_all()
    if as_json:
        say(json.dumps([_described(record) for record in found]))
    elif found:
        _show(found)
    else:
        say("There is no lab. Start one: quoracy lab up")


@lab_app.command(context_settings={"ignore_unknown_options": True})
def ssh(
    host: Host,
    command: Annotated[list[str] | None, typer.Argument(help="Command to run there.")] = None,
) -> None:
    """Log in to a practice host with the lab's own key, or run a command there."""
    target = _lab_of(host).target(host)
    trust = ("-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={target.known_hosts}")
    identity = ("-o", "IdentitiesOnly=yes", "-i", str(target.key_file))
    # Neither the user's nor the machine's settings may turn the checks off or add a detour.
    argv = ("ssh", "-F", "none", *trust, *identity, f"{target.user}@{target.address}", "--")
    os.execvpe("ssh", (*argv, *(command or ())), environment())  # noqa: S606 - the terminal is ssh's


@lab_app.command()
def check(hosts: Annotated[int, typer.Option(help="Number of hosts.")] = 3) -> None:
    """Say what this machine lacks for a lab; exit code 1 when it lacks anything."""
    lacks = missing(hosts)
    for each in lacks:
        say(f"missing: {each}")
    if lacks:
        raise typer.Exit(1)
    say(f"This machine can run {hosts} practice hosts.")


@fault_app.command("power-off")
def power_off(host: Host) -> None:
    """Cut the power: all processes die at once, the disk stays."""
    _lab_of(host).power_off(host)


@fault_app.command("power-on")
def power_on(host: Host) -> None:
    """Boot the host."""
    _lab_of(host).power_on(host)


@fault_app.command()
def pause(host: Host) -> None:
    """Freeze all processes; connections stay open and nobody answers."""
    _lab_of(host).pause(host)


@fault_app.command()
def resume(host: Host) -> None:
    """Let a paused host go on."""
    _lab_of(host).resume(host)


@fault_app.command()
def cut(
    host: Host,
    peers: Annotated[
        list[str] | None,
        typer.Argument(help="Other hosts, or `controller`; all and the controller when left out."),
    ] = None,
) -> None:
    """Drop all packets between the host and others, both ways."""
    _lab_of(host).cut(host, *(peers or ()))


@fault_app.command()
def heal(host: Host) -> None:
    """Take back all cuts that touch the host, and its limited bandwidth."""
    _lab_of(host).heal(host)


@fault_app.command()
def slow(
    host: Host, rate: Annotated[str, typer.Option(help="Bandwidth in tc's words.")] = "1mbit"
) -> None:
    """Limit what the host sends and what it receives; `heal` takes it back."""
    _lab_of(host).slow(host, rate)


@fault_app.command("fill-disk")
def fill_disk(
    host: Host, leave: Annotated[int, typer.Option(min=0, help="Bytes to leave free.")] = 0
) -> None:
    """Fill the host's disk; no other disk is touched."""
    _lab_of(host).fill_disk(host, leave)


@fault_app.command("free-disk")
def free_disk(host: Host) -> None:
    """Give back what fill-disk took."""
    _lab_of(host).free_disk(host)


def _lab_of(host: str) -> Lab:
    """Return the lab that a host belongs to, which its name says."""
    return Lab.load(host.rpartition("-")[0] or host)


def _described(record: Record) -> dict[str, object]:
    hosts = lifecycle.hosts_of(record)
    states = [
        {"name": host.name, "address": host.address, "state": host.state, "pid": host.leader}
        for host in hosts
    ]
    return {
        "name": record.name,
        "subnet": record.subnet,
        "directory": record.directory,
        "ready": record.ready,
        "hosts": states,
    }


def _show(found: list[Record]) -> None:
    table = Table("lab", "host", "address", "state", box=None)
    for record in found:
        for host in lifecycle.hosts_of(record):
            state = host.state if record.ready else f"{host.state} (left behind half started)"
            table.add_row(record.name, host.name, host.address, state)
    Console().print(table)
