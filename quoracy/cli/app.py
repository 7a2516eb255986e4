"""The command `quoracy`: every verb.

Exit codes: 0 done or nothing to do, 1 failed, 2 usage, 3 refused by a check, 4 changes pending in a
dry run.
"""

from __future__ import annotations

from typing import Any

import typer

from quoracy.cli.entry import run
from quoracy.cli.lazy import LazyCommand, Verb, group_of

VERBS = {
    "cluster": Verb(
        "quoracy.cli.cluster:cluster_app", "Clusters that are wanted: apply, list, show, forget."
    ),
    "host": Verb("quoracy.cli.host:host_app", "Hosts and their keys."),
    "plan": Verb("quoracy.cli.plan:plan_app", "Show what an operation would do; changes nothing."),
    "lease": Verb(
        "quoracy.cli.lease:lease_app", "Who works on a cluster, and a dead holder's lease."
    ),
    # In the checkout only, like the flows; the wheel has no practice hosts.
    "lab": Verb("lab.cli:lab_app", "Practice hosts on this machine."),
    "service": Verb(
        "quoracy.cli.service:service_app", "Services with code of yours: redeploy and more."
    ),
    "etcd-deploy": Verb(
        "quoracy.cli.etcd_deploy:etcd_deploy", "Create, upgrade or change an etcd cluster."
    ),
    "operation-rollback": Verb(
        "quoracy.cli.operation_rollback:operation_rollback",
        "Put back what an operation has left half done.",
    ),
    "status": Verb("quoracy.cli.status:status", "Show members, leader, versions, health."),
    "history": Verb("quoracy.cli.history:history", "Show who did what, when, and how it ended."),
    "reconcile": Verb(
        "quoracy.cli.reconcile:reconcile", "Settle what dead processes have left behind."
    ),
    "doctor": Verb("quoracy.cli.doctor:doctor", "Say what this machine lacks."),
    "up": Verb("quoracy.cli.up:up", "Start Prefect's server and runner here."),
    "down": Verb("quoracy.cli.up:down", "Stop what `quoracy up` has started."),
}

app = typer.Typer(
    name="quoracy",
    cls=group_of(VERBS),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def quoracy() -> None:
    """Day-2 operations for the clusters you run yourself. Never below quorum."""


def commands() -> dict[str, Any]:
    """Every command by its name, loaded."""
    group: Any = typer.main.get_command(app)
    return {
        name: one.load() for name, one in group.commands.items() if isinstance(one, LazyCommand)
    }


def main() -> None:
    """Run the command line; a user's mistake ends in a message, never in a traceback."""
    run(app, "quoracy")
