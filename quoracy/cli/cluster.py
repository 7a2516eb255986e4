"""`quoracy cluster`: the clusters that are wanted, in the database."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from quoracy.cli.database import home_database
from quoracy.cli.options import AsJson
from quoracy.cli.screen import Console, say
from quoracy.cli.show import show_json, show_verdicts

cluster_app = typer.Typer(no_args_is_help=True)


@cluster_app.command()
def apply(
    file: Annotated[Path, typer.Option("--file", "-f", help="The cluster.yaml to record.")],
    as_json: AsJson = False,
) -> None:
    """Record what is wanted of a cluster. Changes no host."""
    from quoracy.etcd.plan.refusals import spec_verdicts
    from quoracy.etcd.record import record_cluster
    from quoracy.etcd.spec_parse import parse_cluster
    from quoracy.specs.document import CLUSTER
    from quoracy.specs.file import read_spec

    cluster = parse_cluster(
        read_spec(file, CLUSTER), source=str(file), home=os.environ.get("HOME", "~")
    )
    with home_database() as db:
        applied = record_cluster(db, cluster)
    # What a plan would say of the spec alone; the flag for bad versions is the deploy's.
    show_verdicts(tuple(spec_verdicts(cluster, allow_bad_version=False)), Console(stderr=True))
    if as_json:
        show_json({"name": cluster.name, "applied": applied})
        return
    say(f"{cluster.name}: {applied}")
    say(f"  next: quoracy plan etcd-deploy {cluster.name}")


@cluster_app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the clusters that are wanted."""
    from quoracy.db.clusters import list_clusters

    with home_database() as db:
        clusters = list_clusters(db)
    if as_json:
        show_json(
            [
                {"name": c.name, "kind": c.kind, "version": c.version, "cluster_id": c.cluster_id}
                for c in clusters
            ]
        )
        return
    if not clusters:
        say("There is no cluster; record one with `quoracy cluster apply -f cluster.yaml`.")
        return
    table = Table(
        *(Column(name, no_wrap=True) for name in ("name", "kind", "version", "cluster ID")),
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for cluster in clusters:
        table.add_row(
            cluster.name, cluster.kind, cluster.version, cluster.cluster_id or "not created yet"
        )
    Console().print(table)


@cluster_app.command()
def show(name: str) -> None:
    """Show what is wanted of one cluster, as JSON."""
    from quoracy.db.clusters import get_cluster

    with home_database() as db:
        cluster = get_cluster(db, name)
    show_json({"cluster_id": cluster.cluster_id, **json.loads(cluster.spec)})


@cluster_app.command()
def forget(
    name: str,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Drop a cluster from the database. Hosts, history and snapshots stay as they are."""
    from quoracy.db.clusters import forget_cluster

    if not yes:
        typer.confirm(f"Forget {name}? Its hosts go on running.", abort=True)
    with home_database() as db:
        forget_cluster(db, name, now=datetime.now(UTC))
    say(f"{name}: forgotten")


@cluster_app.command()
def schema() -> None:
    """Print the JSON schema of cluster.yaml, for editors."""
    from quoracy.etcd.spec import EtcdCluster

    show_json(EtcdCluster.model_json_schema())
