"""A plan as Markdown, for the run's artifacts. Pure."""

from __future__ import annotations

import re

from quoracy.operation.plan import Plan
from quoracy.operation.verdict import Status
from quoracy.plain import one_line, plain

# What would be emphasis, a link, a picture, a tag, an entity or the end of a cell (CommonMark 0.31, GFM);
# between letters an underscore is itself, and so is a sign of a list or a heading but at the beginning.
_SPECIAL = re.compile(r"[\\`*\[\]<|~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|&(?=[#A-Za-z])")
_AT_THE_BEGINNING = re.compile(r"^(?=[-+=>#])|^(\d+)(?=[.)])")
_BACKTICKS = re.compile("`+")


def inline(text: str) -> str:
    """A text on a line of its own, where Markdown reads nothing into it."""
    return _AT_THE_BEGINNING.sub(r"\1\\", _SPECIAL.sub(r"\\\g<0>", one_line(text)))


def fenced(text: str) -> str:
    """A text of several lines as it is: a block of code that nothing in it ends."""
    longest = max((len(found) for found in _BACKTICKS.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{plain(text)}\n{fence}"


def cell(text: str) -> str:
    """A text as it may stand in a cell of a table."""
    return inline(text) or " "


def plan_markdown(plan: Plan) -> str:
    """Title, verdicts and a table of what is done where and why."""
    lines = [f"# {inline(plan.title)}", ""]
    for verdict in plan.verdicts:
        if verdict.status is not Status.PASS:
            where = f"{verdict.where}: " if verdict.where else ""
            advice = f" *Next: {inline(verdict.next_step)}*" if verdict.next_step else ""
            said = inline(f"{where}{verdict.message}")
            lines.append(f"- **{verdict.status.upper()}** {said}.{advice}")
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
    lines += ["", *(f"> {inline(note)}" for note in notes), "", f"Digest `{plan.digest}`"]
    return "\n".join(lines) + "\n"
