"""How services, their hosts and their releases look on a terminal and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rich.table import Column, Table
from rich.text import Text

from quoracy.cli.screen import Console
from quoracy.hosts.machine import HostSilent
from quoracy.services.facts import ReleaseFacts, ServiceHostFacts
from quoracy.services.layout import web_root
from quoracy.services.plan.switching import runs_current
from quoracy.services.project import FoundService
from quoracy.services.spec import Service, ServiceType
from quoracy.specs.document import printed

Row = dict[str, Any]
_LAYOUTS = {
    "none": "not there yet",
    "flat": "laid out without releases; the first redeploy converts it",
}


def found_row(found: FoundService) -> Row:
    """A service of the project; one whose config is broken says why."""
    service = found.loaded.service if found.loaded else None
    return {
        "name": found.name,
        "type": service.type.value if service else None,
        "carries_code": service.carries_code if service else None,
        "hosts": [host.name for host in service.hosts] if service else [],
        "config": str(found.config),
        "source": str(found.loaded.source) if found.loaded else None,
        "warnings": list(found.loaded.warnings) if found.loaded else [],
        "error": found.error.what if found.error else None,
    }


def show_found(rows: list[Row], console: Console) -> None:
    """The services of a project, and below them what is wrong with which."""
    if not rows:
        console.print("There is no deployments/<service>/service-config.yml here.")
        return
    table = _table("service", "type", "hosts", "note")
    for row in rows:
        notes = {
            "broken": row["error"] is not None,
            "infrastructure, not redeployed": row["carries_code"] is False,
            "with warnings": bool(row["warnings"]),
        }
        said = ", ".join(note for note, holds in notes.items() if holds)
        colour = "red" if row["error"] else ""
        table.add_row(
            row["name"], row["type"] or "", ", ".join(row["hosts"]), Text(said, style=colour)
        )
    console.print(table)
    for row in rows:
        told = [*row["warnings"], *([f"{row['config']}: {row['error']}"] if row["error"] else [])]
        for line in told:
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def status_row(service: Service, host: str, found: ServiceHostFacts | HostSilent) -> Row:
    """What one host says."""
    if isinstance(found, HostSilent):
        return {"host": host, "well": False, "state": printed(f"silent: {found.reason}")}
    current = found.releases.get(found.current or "")
    runs = found.layout == "releases" and current is not None and runs_current(service, found)
    well = runs and current is not None and current.healthy
    return {
        "host": host,
        "well": well,
        "state": "serving" if well else _unproven(current) if runs else _trouble(service, found),
        "release": found.current,
        "previous": found.previous,
        "made_at": _time(current.created_s) if current else None,
        "note": printed(current.note) if current else "",
        "unit": found.unit.active,
        "restarts": found.unit.restarts,
        "runtime": found.runtime,
        "releases": len(found.releases),
        "not_ours": [printed(path) for path in found.strange],
    }


def _unproven(current: ReleaseFacts | None) -> str:
    """What is said of a release that runs, and that nobody has seen healthy: its run was cut off."""
    since = "has not passed the gate since its last switch"
    before = current is not None and current.proven
    return f"not proven: it runs, and {since if before else 'has never passed the gate'}"


def _trouble(service: Service, found: ServiceHostFacts) -> str:
    if found.layout != "releases":
        return _LAYOUTS[found.layout]
    if found.current is None:
        if found.astray:
            return printed(f"current leads to {found.astray}, which is no release of Quoracy's")
        return "the link to the current release leads nowhere"
    if found.unit.active != "active":
        return f"unit {found.unit.active} ({found.unit.sub})"
    if service.type is ServiceType.STATIC:
        return f"{web_root(service)} leads to {printed(found.web_root) or 'nothing'}"
    inside = f"{service.directory}/releases/"
    if found.unit.running_in.startswith(inside):
        return printed(f"runs release {found.unit.running_in.removeprefix(inside)}")
    return printed(f"runs in {found.unit.running_in or 'no directory'}")


def show_status(service: Service, rows: list[Row], console: Console) -> None:
    """A line per host."""
    console.print(f"{service.name}, {service.type}", style="bold", highlight=False)
    table = _table("host", "state", "release", "made (UTC)", "restarts", "note")
    for row in rows:
        table.add_row(
            row["host"],
            Text(row["state"], style="green" if row["well"] else "red"),
            row.get("release") or "",
            _short(row.get("made_at")),
            str(row.get("restarts", "")),
            Text(row.get("note", "")),
        )
    console.print(table)
    show_strange(service, {row["host"]: row.get("not_ours", []) for row in rows}, console)


def strange_of(facts: Mapping[str, ServiceHostFacts | HostSilent]) -> dict[str, list[str]]:
    """What lies among the releases of each host and is not Quoracy's."""
    return {
        host: [printed(path) for path in found.strange]
        for host, found in facts.items()
        if isinstance(found, ServiceHostFacts) and found.strange
    }


def show_strange(service: Service, strange: Mapping[str, list[str]], console: Console) -> None:
    """A line per host."""
    for host, paths in strange.items():
        if paths:
            told = (
                f"{host}: in {service.directory}, not Quoracy's and left alone: {', '.join(paths)}"
            )
            console.print(told, style="yellow", markup=False, highlight=False, soft_wrap=True)


def release_rows(
    facts: Mapping[str, ServiceHostFacts | HostSilent],
) -> tuple[list[Row], dict[str, str]]:
    """The releases of all hosts, newest first, and why a host says nothing."""
    rows = []
    for host, found in facts.items():
        if isinstance(found, HostSilent):
            continue
        newest = sorted(found.releases.values(), key=lambda one: (-one.created_s, one.id))
        rows += [_release(host, found, one) for one in newest]
    silent = {host: one.reason for host, one in facts.items() if isinstance(one, HostSilent)}
    return rows, silent


def _release(host: str, found: ServiceHostFacts, release: ReleaseFacts) -> Row:
    marks = {"current": found.current, "previous": found.previous}
    return {
        "host": host,
        "release": release.id,
        "is": next((mark for mark, one in marks.items() if one == release.id), ""),
        "healthy": release.healthy,
        "proven": release.proven,
        "made_at": _time(release.created_s),
        "source": release.source,
        "runtime": release.runtime,
        "operation": release.operation,
        "note": printed(release.note),
    }


def show_releases(
    service: Service, rows: list[Row], silent: Mapping[str, str], console: Console
) -> None:
    """A line per host and release."""
    table = _table("host", "release", "", "was healthy", "made (UTC)", "note")
    for row in rows:
        healthy = "yes" if row["proven"] else "no"
        made, note = _short(row["made_at"]), Text(row["note"])
        table.add_row(row["host"], row["release"], row["is"], healthy, made, note)
    if rows:
        console.print(table)
    elif not silent:
        console.print(f"{service.name} has no releases yet.", highlight=False)
    for host, reason in silent.items():
        console.print(Text(f"{host}: silent: {reason}", style="red"), soft_wrap=True)


def _table(*columns: str) -> Table:
    """Names and IDs are what a person copies: they are never folded or cut."""
    folded = ("state", "hosts", "note")
    return Table(
        *(
            Column(name, overflow="fold") if name in folded else Column(name, no_wrap=True)
            for name in columns
        ),
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )


def _time(seconds: int) -> str:
    """UTC, as the host's own record says; what is no time at all is shown as it is."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return str(seconds)


def _short(made_at: str | None) -> str:
    return (made_at or "")[:16].replace("T", " ")
