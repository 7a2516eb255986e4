"""The command `quoracy`: every verb, and the one place where errors become messages and exit codes.

Exit codes: 0 done or nothing to do, 1 failed, 2 usage, 3 refused by a check, 4 changes pending in a
dry run.
"""

from __future__ import annotations

import typer

from quoracy.cli.cluster import cluster_app
from quoracy.cli.doctor import doctor
from quoracy.cli.entry import run
from quoracy.cli.etcd_deploy import etcd_deploy
from quoracy.cli.history import history
from quoracy.cli.host import host_app
from quoracy.cli.lab import lab_app
from quoracy.cli.lease import lease_app
from quoracy.cli.operation_rollback import operation_rollback
from quoracy.cli.plan import plan_app
from quoracy.cli.reconcile import reconcile
from quoracy.cli.service import service_app
from quoracy.cli.status import status
from quoracy.cli.up import down, up

app = typer.Typer(
    name="quoracy",
    help="Day-2 operations for the clusters you run yourself. Never below quorum.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(
    cluster_app, name="cluster", help="Clusters that are wanted: apply, list, show, forget."
)
app.add_typer(host_app, name="host", help="Hosts and their keys.")
app.add_typer(plan_app, name="plan", help="Show what an operation would do; changes nothing.")
app.add_typer(lease_app, name="lease", help="Who works on a cluster, and a dead holder's lease.")
app.add_typer(lab_app, name="lab", help="Practice hosts on this machine.")
app.add_typer(service_app, name="service", help="Services with code of yours: redeploy and more.")
app.command("etcd-deploy")(etcd_deploy)
app.command("operation-rollback")(operation_rollback)
app.command()(status)
app.command()(history)
app.command()(reconcile)
app.command()(doctor)
app.command()(up)
app.command()(down)


def main() -> None:
    """Run the command line; a user's mistake ends in a message, never in a traceback."""
    run(app, "quoracy")
