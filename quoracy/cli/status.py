"""`quoracy status`: what the hosts and members of a cluster say right now."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Column, Table
from rich.text import Text

from quoracy.cli.options import AsJson, ClusterName
from quoracy.cli.screen import Console, say
from quoracy.db.models import Lease, Operation
from quoracy.db.session import Database

Deep = Annotated[
    bool,
    typer.Option(
        help="Compare the members' data by a hash over all keys; each reads its whole database."
    ),
]


def status(cluster: ClusterName, deep: Deep = False, as_json: AsJson = False) -> None:
    """Show members, leader, versions, health.

    Asks every host, and says when members hold different data. Exit code 1 when it is not all well.
    """
    from quoracy.cli.show import show_json, show_verdicts
    from quoracy.etcd.checks_alarms import describe
    from quoracy.etcd.compare import compare_data, compare_revisions
    from quoracy.etcd.deploy import Wanted, open_etcd_deploy

    with open_etcd_deploy(Wanted(cluster)) as deploy:
        facts = deploy.gather()
        if deep:
            data = compare_data(deploy.cluster, deploy.pool, deploy.gather)
        else:
            data = compare_revisions(deploy.cluster, deploy.pool, facts)
        lease, interrupted = _at_work(deploy.db, cluster)
    rows = [_row(name, facts) for name in facts.hosts]
    # Who tells no status does not tell its alarms either.
    told = all(row["healthy"] and row.get("member_id") for row in rows)
    well = told and not facts.alarms and not data.stops
    if as_json:
        show_json(
            {
                "cluster": cluster,
                "cluster_id": sorted(facts.cluster_ids),
                "leader": facts.leader,
                "members": rows,
                "alarms": _alarms(facts),
                "data": asdict(data),
                "interrupted": [one.id for one in interrupted],
            }
        )
    else:
        _show(cluster, facts, rows)
        show_verdicts((*describe(facts), data), Console())
        if deep and not data.stops:
            say(f"data: {data.message}")
        if lease:
            say(f"lease: {lease.holder} since {lease.taken_at:%H:%M:%S} UTC: {lease.reason}")
        for one in interrupted:
            say(
                f"interrupted: {one.title} since {one.started_at:%Y-%m-%d %H:%M:%S} UTC "
                f"by {one.requested_by}; run the same command again"
            )
    raise typer.Exit(0 if well else 1)


def _at_work(db: Database, cluster: str) -> tuple[Lease | None, list[Operation]]:
    """The live lease, or else the operations that changed hosts and never came to their end."""
    from quoracy.db.holder import this_process
    from quoracy.db.lease import get_lease, is_live
    from quoracy.db.operations import unfinished

    now = db.now()
    lease = get_lease(db, cluster)
    if lease is not None and is_live(lease, this_process(), now):
        return lease, []
    # One that began after the lease was read has a lease that was not seen; dry runs need none.
    cut_off = (one for one in unfinished(db, cluster) if one.started_at <= now)
    return None, [one for one in cut_off if one.fence is not None]


def _row(name: str, facts: Any) -> dict[str, Any]:
    from quoracy.hosts.machine import HostSilent

    host = facts.hosts[name]
    if isinstance(host, HostSilent):
        return {"host": name, "healthy": False, "state": f"silent: {host.reason}"}
    told = host.status
    return {
        "host": name,
        "healthy": host.healthy,
        "state": _said(host),
        "unit": host.unit.active,
        "member_id": told.member_id if told else None,
        "version": told.version if told else None,
        "leader": facts.leader == name,
        "revision": told.revision if told else None,
        "applied_index": told.applied_index if told else None,
        "db_bytes": told.db_bytes if told else None,
        "alarms": [a.kind for a in told.alarms if a.member_id == told.member_id] if told else [],
    }


def _said(host: Any) -> str:
    from quoracy.etcd.facts_cluster import presence

    if host.status is not None:
        return "healthy" if host.healthy else "unhealthy"
    return "serves reads, tells no status" if host.healthy else presence(host)


def _alarms(facts: Any) -> list[dict[str, str]]:
    from quoracy.etcd.checks_alarms import alarm_host

    return [
        {"kind": alarm.kind, "member_id": alarm.member_id, "host": alarm_host(facts, alarm)}
        for alarm in facts.alarms
    ]


def _show(cluster: str, facts: Any, rows: list[dict[str, Any]]) -> None:
    console = Console()
    ids = ", ".join(sorted(facts.cluster_ids)) or "unknown"
    console.print(f"{cluster}, cluster ID {ids}", style="bold", highlight=False)
    table = Table(
        Column("host", no_wrap=True),
        Column("state", overflow="fold"),
        Column("member ID", no_wrap=True),
        Column("version", no_wrap=True),
        Column("role", no_wrap=True),
        Column("revision", no_wrap=True, justify="right"),
        Column("DB", no_wrap=True, justify="right"),
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for row in rows:
        size = row.get("db_bytes")
        table.add_row(
            row["host"],
            Text(_state(row), style="green" if row["healthy"] else "red"),
            row.get("member_id") or "",
            row.get("version") or "",
            "leader" if row.get("leader") else "",
            str(row.get("revision") or ""),
            _size(size) if size else "",
        )
    console.print(table)


def _state(row: dict[str, Any]) -> str:
    """The state in words, with the unit's and the alarms where they say more."""
    unit = row.get("unit") or "active"
    said = [row["state"], *([] if unit == "active" else [f"unit {unit}"]), *row.get("alarms", [])]
    return ", ".join(said)


def _size(size: int) -> str:
    return f"{size / 1024**2:.1f} MiB" if size >= 1024**2 else f"{size / 1024:.0f} KiB"
