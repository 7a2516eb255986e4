"""How plans look on a terminal: what, where, why."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.table import Column, Table
from rich.text import Text

from quoracy.cli.screen import Console
from quoracy.operation.plan import Plan
from quoracy.operation.verdict import Status, Verdict

STATUS_COLOURS = {
    Status.PASS: "green",
    Status.WARN: "yellow",
    Status.FAIL: "red",
    Status.UNKNOWN: "red",
}


def show_json(value: Any) -> None:
    """One JSON document on standard output."""
    json.dump(value, sys.stdout, indent=2, default=str)
    sys.stdout.write("\n")


def show_plan(plan: Plan, console: Console) -> None:
    """The plan as a table of steps with the reasons for each member, then what the checks say."""
    console.print(Text(plan.title, style="bold"))
    if plan.groups:
        console.print(_steps(plan))
    elif plan.changes:
        console.print(_changes(plan))
    show_verdicts(plan.verdicts, console)


def show_verdicts(verdicts: tuple[Verdict, ...], console: Console) -> None:
    """Every verdict that is not a plain pass, with what to do next."""
    for verdict in verdicts:
        if verdict.status is Status.PASS:
            continue
        line = Text(f"{verdict.status.upper():7} ", style=STATUS_COLOURS[verdict.status])
        line.append(f"{verdict.where + ': ' if verdict.where else ''}{verdict.message}", style="")
        if verdict.next_step:
            line.append(f"\n        next: {verdict.next_step}", style="dim")
        console.print(line)


def _steps(plan: Plan) -> Table:
    table = Table(Column("where", no_wrap=True), "what", "why", show_edge=False, pad_edge=False)
    for step in plan.before:
        table.add_row(step.host, step.title, "before anything is changed")
    for group in plan.groups:
        table.add_section()
        hosts = list(dict.fromkeys(step.host for step in group.steps))
        for number, host in enumerate(hosts):
            titles = [step.title for step in group.steps if step.host == host]
            why = _why(plan, host) if group.hosts or plan.kind == "create" else ""
            note = group.note if number == len(hosts) - 1 else ""
            reason = "\n".join(part for part in (why, note) if part)
            table.add_row(host or "controller", "\n".join(titles), reason)
    return table


def _changes(plan: Plan) -> Table:
    table = Table(Column("where", no_wrap=True), "what differs", show_edge=False, pad_edge=False)
    for change in plan.changes:
        table.add_row(change.host, str(change))
    return table


def _why(plan: Plan, host: str) -> str:
    reasons = [str(change) for change in plan.changes if change.host == host]
    return "\n".join(reasons) if reasons else ("" if plan.kind == "create" else "it is not running")
