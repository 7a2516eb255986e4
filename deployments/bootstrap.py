"""Register with the server what the flows need besides deployments; may run any number of times."""

from __future__ import annotations

from blocks.secret import QuoracySecret
from deployments.automations import keep_automation, zombie_automation
from deployments.project import flow_names


def bootstrap() -> None:
    """Register block types, to be filled in in the UI, and the automation that ends dead runs."""
    QuoracySecret.register_type_and_schema()
    keep_automation(zombie_automation(flow_names()))


if __name__ == "__main__":
    bootstrap()
