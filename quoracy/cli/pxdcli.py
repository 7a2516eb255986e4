"""`pxdcli`: the familiar name; the same commands as `quoracy service redeploy` and `rollback`."""

from __future__ import annotations

from pathlib import Path

import typer

from quoracy.cli.entry import run
from quoracy.cli.options import AsJson, DryRun, Submit, WithoutPrefect
from quoracy.cli.service import redeploy, rollback
from quoracy.cli.service_options import Force, NoBuild, Project, Verify

app = typer.Typer(
    name="pxdcli",
    help="Redeploy code to the hosts that run it. The same as `quoracy service`, which does more.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(redeploy)
app.command()(rollback)


@app.command()
def redeploy_all(
    no_build: NoBuild = False,
    force: Force = False,
    verify: Verify = False,
    dry_run: DryRun = False,
    project: Project = Path(),
    submit: Submit = False,
    without_prefect: WithoutPrefect = False,
    as_json: AsJson = False,
) -> None:
    """Redeploy all services that carry code, as `redeploy --all`."""
    redeploy(
        all_=True,
        no_build=no_build,
        force=force,
        verify=verify,
        dry_run=dry_run,
        project=project,
        submit=submit,
        without_prefect=without_prefect,
        as_json=as_json,
    )


def main() -> None:
    """Run the command line."""
    run(app, "pxdcli")


if __name__ == "__main__":
    main()
