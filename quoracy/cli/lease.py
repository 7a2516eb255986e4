"""`quoracy lease`: who works on which cluster, and how a dead holder's lease is freed."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.text import Text

from quoracy.cli.database import home_database
from quoracy.cli.options import AsJson, ClusterName, known_clusters
from quoracy.cli.screen import Console, say
from quoracy.cli.show import show_json
from quoracy.db.holder import asking_user, this_process
from quoracy.db.lease import EXPIRES_AFTER, LeaseState, break_lease, lease_state, list_leases
from quoracy.db.models import Lease, Operation
from quoracy.db.session import Database
from quoracy.errors import LeaseHeld, UsageError

lease_app = typer.Typer(no_args_is_help=True)

_COLOURS = {"live": "yellow", "free": "green", "expired": "red", "process gone": "red"}
_BY_ITSELF = "the next operation takes a dead holder's lease over by itself"


@dataclass(frozen=True, slots=True)
class Look:
    """The lease of one cluster at one moment, with the operation that holds it."""

    cluster: str
    state: LeaseState
    lease: Lease | None
    operation: Operation | None
    now: datetime

    @property
    def expires_at(self) -> datetime | None:
        """When a lease that is held can be taken if its holder beats no more."""
        return self.lease.heartbeat_at + EXPIRES_AFTER if self.lease else None


@lease_app.command()
def show(
    cluster: Annotated[
        str | None, typer.Argument(help="Only this cluster.", autocompletion=known_clusters)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show who works on a cluster, or on all."""
    with home_database() as db:
        looks = _look(db, cluster)
    if as_json:
        show_json([_as_dict(look) for look in looks])
        return
    if not looks:
        say("There is no cluster; record one with `quoracy cluster apply -f cluster.yaml`.")
    for look in looks:
        _show(look, Console())


@lease_app.command("break")
def break_(
    cluster: ClusterName,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Free the lease of a holder that is dead. A live one is never broken."""
    with home_database() as db:
        (look,) = _look(db, cluster)
        if look.lease is None or look.state == "free":
            _tell(look, "nobody holds its lease, nothing is to be done", as_json=as_json)
            return
        if look.state == "live":
            raise _live(look, look.lease)
        if not yes:
            _confirm(look, look.lease)
        by, here = f"{asking_user()} on {socket.gethostname()}", this_process()
        if not break_lease(db, look.lease, by=by, here=here, now=db.now()):
            raise LeaseHeld(
                "its lease has changed since it was looked at, nothing was freed",
                where=cluster,
                next_step=f"look again: `quoracy lease show {cluster}`",
            )
        (after,) = _look(db, cluster)
    ended = f", operation {look.operation.id[:8]} is ended as failed" if look.operation else ""
    said = f"the lease of {look.lease.holder} is freed{ended}\n  not needed: {_BY_ITSELF}"
    _tell(after, said, as_json=as_json)


@lease_app.command()
def renumber(
    cluster: ClusterName,
    host: Annotated[str, typer.Argument(help="The host whose number is beyond reason.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Give a host the number from here, when its own is beyond reason or cannot be read.

    Only when no other controller works on it: it may act on the host again.
    """
    from quoracy.cli.targets import target_of
    from quoracy.db.session import open_database
    from quoracy.home import load_home
    from quoracy.hosts.pool import HostPool
    from quoracy.operation.lease import Asked
    from quoracy.operation.renumber import renumber_host

    home = load_home()
    db = open_database(home.database_url)
    try:
        target = target_of(db, home, cluster, host)
        if not yes:
            _confirm_renumbering(cluster, host)
        asked = Asked(asking_user(), f"terminal on {socket.gethostname()}")
        with HostPool([target]) as pool:
            say(f"{host}: {renumber_host(db, pool, cluster, host, asked)}")
    finally:
        db.close()


def _confirm_renumbering(cluster: str, host: str) -> None:
    """Ask whether nobody else is to be kept off any more."""
    if not sys.stdin.isatty():
        raise UsageError(
            "nobody can be asked whether to write the number anew: this is not a terminal",
            where=cluster,
            next_step=f"run it again with --yes, when no other controller works on {cluster}",
        )
    typer.confirm(
        f"What {host} has noted is moved aside, and another controller that it keeps off may act there "
        f"again. Does none work on {cluster}?",
        abort=True,
    )


def _look(db: Database, cluster: str | None) -> list[Look]:
    """The lease of each cluster, of one that was forgotten too; UsageError for an unknown name."""
    from quoracy.db.clusters import get_cluster, list_clusters
    from quoracy.db.operations import unfinished

    here, now = this_process(), db.now()
    leases = {lease.cluster: lease for lease in list_leases(db)}
    names = {*leases, *(one.name for one in list_clusters(db))}
    if cluster is not None:
        names = {cluster if cluster in leases else get_cluster(db, cluster).name}
    running = {one.id: one for one in unfinished(db, cluster)}
    looks = []
    for name in sorted(names):
        lease = leases.get(name)
        state = lease_state(lease, here, now) if lease else "free"
        operation = running.get(lease.operation_id) if lease else None
        looks.append(Look(name, state, lease, operation, now))
    return looks


def _as_dict(look: Look) -> dict[str, Any]:
    """For `--json`: the same keys for every cluster, None where nobody holds the lease."""
    lease, operation = (None if look.state == "free" else look.lease), look.operation
    held = lease and lease.model_dump(mode="json")
    keys = ("holder", "pid", "operation_id", "reason", "taken_at", "heartbeat_at")
    asked = operation and operation.model_dump(mode="json")
    return {
        "cluster": look.cluster,
        "state": look.state,
        "fence": look.lease.fence if look.lease else 0,
        **{key: held[key] if held else None for key in keys},
        "machine": _machine(lease) if lease else None,
        "expires_at": _iso(look.expires_at) if lease and look.expires_at else None,
        **{key: asked[key] if asked else None for key in ("requested_by", "origin", "flow_run_id")},
    }


def _show(look: Look, console: Console) -> None:
    title = Text(f"{look.cluster}  ", style="bold")
    console.print(title.append(look.state, style=_COLOURS[look.state]))
    for name, value in _facts(look):
        console.print(f"  {name:10} {value}", highlight=False, markup=False, soft_wrap=True)


def _facts(look: Look) -> Iterator[tuple[str, str]]:
    lease, operation = look.lease, look.operation
    if lease is None:
        return
    if look.state != "free":
        beat = (look.now - lease.heartbeat_at).total_seconds()
        yield "holder", f"{lease.holder}"
        yield "where", f"process {lease.pid} on {_machine(lease)}"
        if operation:
            yield "asked by", f"{operation.requested_by}, {operation.origin}"
            if operation.flow_run_id:
                yield "flow run", operation.flow_run_id
        yield "operation", f"{lease.operation_id[:8]}  {lease.reason}"
        yield "since", _utc(lease.taken_at)
        yield "last beat", f"{_utc(lease.heartbeat_at)}, {beat:.0f} s ago"
        yield "next", _advice(look)
    yield "fence", str(lease.fence)


def _advice(look: Look) -> str:
    if look.state == "live":
        return f"it expires at {look.expires_at:%H:%M:%S} UTC unless it beats again"
    return f"{_BY_ITSELF}, or: quoracy lease break {look.cluster}"


def _live(look: Look, lease: Lease) -> LeaseHeld:
    """A live lease is never broken: who holds it, how to end it, when it would expire."""
    operation = look.operation
    asked = f", asked for by {operation.requested_by}, {operation.origin}" if operation else ""
    ways = [f"press Ctrl-C where it runs (kill -INT {lease.pid} on {_machine(lease)})"]
    if operation and operation.flow_run_id:
        ways.insert(0, f"cancel the flow run {operation.flow_run_id} in the Prefect UI")
    return LeaseHeld(
        f"{lease.holder} is alive and works on it since {_utc(lease.taken_at)}: {lease.reason}"
        f"{asked}. Its last beat was at {_utc(lease.heartbeat_at)}; "
        f"without another one its lease expires at {look.expires_at:%H:%M:%S} UTC",
        where=look.cluster,
        next_step=f"wait until it has ended, or end it: {', or '.join(ways)}",
    )


def _confirm(look: Look, lease: Lease) -> None:
    """Ask whether a dead holder's lease is to be freed."""
    if not sys.stdin.isatty():
        raise UsageError(
            "nobody can be asked whether to break the lease: this is not a terminal",
            where=look.cluster,
            next_step=f"run it again with --yes; or leave it: {_BY_ITSELF}",
        )
    _show(look, Console())
    say(f"It need not be broken: {_BY_ITSELF}.")
    typer.confirm(f"Free the lease of {lease.holder}?", abort=True)


def _tell(look: Look, said: str, *, as_json: bool) -> None:
    if as_json:
        show_json(_as_dict(look))
    else:
        say(f"{look.cluster}: {said}")


def _machine(lease: Lease) -> str:
    """The host's name; what follows it tells containers of one machine apart."""
    return lease.machine.split(" ")[0]


def _iso(moment: datetime) -> str:
    """As pydantic writes the other moments."""
    return moment.isoformat().replace("+00:00", "Z")


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
