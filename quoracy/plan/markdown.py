"""A plan as Markdown, for the run's artifacts. Pure."""

from __future__ import annotations

from quoracy.checks.verdict import Status
from quoracy.plan.plan import Plan


def plan_markdown(plan: Plan) -> str:
    """Title, verdicts and a table of what is done where and why."""
    lines = [f"# {plan.title}", ""]
    for verdict in plan.verdicts:
        if verdict.status is not Status.PASS:
            where = f"{verdict.where}: " if verdict.where else ""
            advice = f" *Next: {verdict.next_step}*" if verdict.next_step else ""
            lines.append(f"- **{verdict.status.upper()}** {where}{verdict.message}.{advice}")
    if plan.changes:
        lines += ["", "| where | what differs | before | after |", "|---|---|---|---|"]
        lines += [
            f"| {cell(c.host)} | {cell(c.what)} | {cell(c.before)} | {cell(c.after)} |"
            for c in plan.changes
        ]
    steps = list(plan.steps)
    if steps:
        lines += ["", "| part | host | step |", "|---|---|---|"]
        lines += [
            f"| {cell(group)} | {cell(step.host or 'controller')} | {cell(step.title)} |"
            for group, step in steps
        ]
    notes = [group.note for group in plan.groups if group.note]
    lines += ["", *(f"> {note}" for note in notes), "", f"Digest `{plan.digest}`"]
    return "\n".join(lines) + "\n"


def cell(text: str) -> str:
    """A text as it may stand in a cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ") or " "
