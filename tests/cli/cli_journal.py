"""A journal as the loop writes it: an upgrade of three members that fails at the second."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from quoracy.db.operations import (
    NewOperation,
    PlannedStep,
    plan_steps,
    start_operation,
    step_ended,
    step_started,
)
from quoracy.db.session import Database

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
TITLE = "upgrade demo from etcd 3.4.23 to 3.5.16, 3 members one by one"
LONG = "start failed with exit code 1: Job for etcd-demo.service failed because of a timeout"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def begin(
    db: Database, now: datetime = START, plan: Mapping[str, Any] | None = None, **told: Any
) -> str:
    """An operation of three members: backup, a group over all hosts, and one group per member."""
    operation = NewOperation(
        cluster="demo",
        kind="etcd-deploy",
        title=TITLE,
        holder="someone",
        requested_by="ada",
        origin="terminal, prefect on vm",
        plan=json.dumps(plan or {}),
        plan_digest="0123",
        **told,
    )
    start_operation(db, operation, now=now)
    steps = [("backup", "demo-2", "take a verified snapshot")]
    steps += [("prepare hosts", f"demo-{n}", "install etcd 3.5.16") for n in (1, 2, 3)]
    for member in ("demo-2", "demo-3", "demo-1"):
        steps += [(member, member, title) for title in ("stop", "start", "wait until healthy")]
    rows = [
        PlannedStep(seq, group, host, title.replace(" ", "-"), title, "")
        for seq, (group, host, title) in enumerate(steps, 1)
    ]
    plan_steps(db, operation.id, rows)
    return operation.id


def fail_at_the_second_member(db: Database, operation: str) -> None:
    """Seven steps are done; demo-3 stops and does not start; two undo steps put it back."""
    for seq in range(1, 9):
        step_started(db, operation, seq, now=at(seq))
        step_ended(db, operation, seq, state="done", now=at(seq + 0.5), detail="as wanted\nmore")
    step_started(db, operation, 9, now=at(9))
    step_ended(db, operation, 9, state="failed", now=at(10), detail=f"demo-3: {LONG}")
    undo = [PlannedStep(14, "demo-3", "demo-3", "start-member", "start the old one", "put back")]
    plan_steps(db, operation, undo)
    step_started(db, operation, 14, now=at(11))
    step_ended(db, operation, 14, state="undone", now=at(12))
