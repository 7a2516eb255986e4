"""The releases of a service as Markdown, for the run's artifacts. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from quoracy.operation.markdown import cell
from quoracy.services.facts_site import ServiceFacts


def releases_markdown(facts: ServiceFacts) -> str:
    """A table of what each host has, newest first, and what runs there."""
    lines = ["| host | release | | was healthy | made | from |", "|---|---|---|---|---|---|"]
    for host, found in facts.heard.items():
        for one in sorted(found.releases.values(), key=lambda one: -one.created_s):
            mark = {found.current: "**current**", found.previous: "previous"}.get(one.id, "")
            made = f"{datetime.fromtimestamp(one.created_s, UTC):%Y-%m-%d %H:%M:%S} UTC"
            healthy = "yes" if one.proven else "never"
            cells = (cell(host), cell(one.id), mark, healthy, made, cell(one.note))
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
