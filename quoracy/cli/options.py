"""Options that several verbs share, so that they are called and explained alike."""

from __future__ import annotations

from typing import Annotated

import typer

from quoracy.etcd.params import Action, DeployOption


def known_clusters(incomplete: str) -> list[str]:
    """Names of the recorded clusters, for shell completion."""
    from quoracy.db.clusters import list_clusters
    from quoracy.db.session import open_database
    from quoracy.home import load_home

    db = open_database(load_home().database_url)
    try:
        return [c.name for c in list_clusters(db) if c.name.startswith(incomplete)]
    finally:
        db.close()


ClusterName = Annotated[
    str, typer.Argument(help="Name of the cluster.", autocompletion=known_clusters)
]
ChosenAction = Annotated[
    Action,
    typer.Option(
        "--action", help="What you expect: create, upgrade, or deploy (either, or nothing)."
    ),
]
Version = Annotated[
    str | None,
    typer.Option("--version", help="etcd version instead of the spec's, for this run."),
]
ChosenOption = Annotated[
    DeployOption | None,
    typer.Option(
        "--deploy-option", help="no_upgrade: report only. force_create: only where nothing is."
    ),
]
AllowDowntime = Annotated[
    bool,
    typer.Option("--allow-downtime", help="Restart members of a cluster of one or two."),
]
AllowBadVersion = Annotated[
    bool, typer.Option("--allow-bad-version", help="Deploy a version that is known to be bad.")
]
PauseAfterFirst = Annotated[
    bool,
    typer.Option(
        "--pause-after-first", help="Show what became of the first member and ask before the next."
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Approve in advance what would be asked.")]
PlanId = Annotated[
    str, typer.Option("--plan-id", help="Apply this plan (its ID is shown by `plan`) or none.")
]
Submit = Annotated[
    bool, typer.Option("--submit", help="Hand it to the runner instead of running it here.")
]
WithoutPrefect = Annotated[
    bool,
    typer.Option("--without-prefect", help="Run it here, recorded in the journal alone."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Record the plan and stop.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
