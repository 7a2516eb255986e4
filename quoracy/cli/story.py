"""The whole story of one operation: who, why, what was checked, each step, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from rich.text import Text

from quoracy.cli.follow import step_line
from quoracy.cli.screen import Console
from quoracy.cli.show import STATUS_COLOURS
from quoracy.db.audit import Record
from quoracy.db.models import Snapshot, StepRecord
from quoracy.operation.plan import Change
from quoracy.operation.verdict import Status

OUTCOME_COLOURS = {
    "done": "green",
    "nothing_to_do": "dim",
    "dry_run": "dim",
    "refused": "yellow",
    "stopped": "yellow",
    "running": "yellow",
}
_IN_WORDS = {
    "running": "running",
    "interrupted": "interrupted: its process ended before it did; run the same command again",
    "done": "done",
    "nothing_to_do": "nothing to do: all was as wanted",
    "dry_run": "dry run: nothing was changed",
    "refused": "refused: nothing was changed",
    "stopped": "stopped on request, with nothing half done; run the same command again to go on",
    "failed": "failed",
    "rolled_back": "rolled back: a step failed, and what it belonged to was put back",
    "rollback_failed": "rollback failed: a step failed and so did putting back; look at the hosts",
}


def outcome_of(record: Record) -> str:
    """The outcome as one word; an operation without one runs, or was interrupted."""
    return record.operation.outcome or ("interrupted" if record.interrupted else "running")


def show_story(record: Record, console: Console) -> None:
    """Print all that is known of an operation, in the order in which it happened."""
    for line in _story(record):
        console.print(line, soft_wrap=True)


def _story(record: Record) -> Iterator[Text]:
    yield Text(record.operation.title, style="bold")
    for name, value in _head(record):
        yield Text(f"  {name:9} ", style="dim").append(value, style="default")
    plan = record.plan
    for heading, lines in (
        ("What differed", [_change(change) for change in plan.get("changes", ())]),
        ("Checks", [_verdict(verdict) for verdict in plan.get("verdicts", ())]),
        ("Steps", list(_steps(record))),
        ("Backups", [_snapshot(one) for one in record.snapshots]),
    ):
        if lines:
            yield Text(heading, style="bold")
            yield from lines
    if record.operation.error:
        yield Text("Why it ended so", style="bold")
        yield Text(record.operation.error, style="red")


def _head(record: Record) -> Iterator[tuple[str, str]]:
    one = record.operation
    yield "outcome", _outcome(record)
    until = f" to {_until(one.started_at, one.ended_at)}" if one.ended_at else ""
    yield "when", f"{one.started_at:%Y-%m-%d %H:%M:%S}{until} UTC"
    if record.interrupted:
        yield "last beat", f"{one.heartbeat_at:%Y-%m-%d %H:%M:%S} UTC"
    yield "who", f"{one.requested_by}, {one.origin}"
    fence = "took no lease" if one.fence is None else f"fence {one.fence}"
    yield "process", f"{one.holder}, {fence}"
    yield "operation", f"{one.id}, {one.kind} of {one.cluster}"
    if one.flow_run_id:
        yield "flow run", one.flow_run_id
    yield "plan", one.plan_digest


def _outcome(record: Record) -> str:
    outcome = outcome_of(record)
    done = sum(1 for step in record.steps if step.state == "done")
    if outcome == "refused" and done:
        # A gate between two groups of steps says no as well; what was done before stays.
        return f"refused by a check after {done} step(s); nothing is half done"
    return _IN_WORDS[outcome]


def _until(start: datetime, end: datetime) -> str:
    seconds = f"{(end - start).total_seconds():.1f} s"
    day = "" if start.date() == end.date() else f"{end:%Y-%m-%d} "
    return f"{day}{end:%H:%M:%S} ({seconds})"


def _change(change: dict[str, Any]) -> Text:
    told = Change(*(change[key] for key in ("host", "what", "before", "after")))
    return Text(f"  {told.host}  {told}")


def _verdict(verdict: dict[str, Any]) -> Text:
    status = Status(verdict["status"])
    line = Text(f"  {status.upper():7} ", style=STATUS_COLOURS[status])
    where = f"{verdict['where']}: " if verdict["where"] else ""
    line.append(f"{where}{verdict['message']} [{verdict['reason']}]", style="default")
    if verdict["next_step"]:
        line.append(f"\n          next: {verdict['next_step']}", style="dim")
    return line


def _steps(record: Record) -> Iterator[Text]:
    """The journal's steps; the plan's when none was ever written down, as in a dry run."""
    if not record.steps:
        for step in record.plan.get("steps", ()):
            yield Text(f"  · {step['host'] or 'controller'}: {step['title']}", style="dim")
        return
    over = record.interrupted or record.operation.state == "ended"
    for step in record.steps:
        began = f"{step.started_at:%H:%M:%S}" if step.started_at else ""
        yield Text(f"  {began:8} ").append_text(_step(step, over=over))


def _step(step: StepRecord, *, over: bool) -> Text:
    line = step_line(step, over=over)
    for more in step.detail.splitlines()[1:] if step.state in ("done", "undone") else ():
        line.append(f"\n             {more}", style="dim")
    return line


def _snapshot(one: Snapshot) -> Text:
    return Text(
        f"  {one.taken_at:%H:%M:%S} from {one.member}: revision {one.revision}, {one.size_bytes} bytes, "
        f"etcd {one.etcd_version}\n           {one.location}\n           sha256 {one.sha256}"
    )
