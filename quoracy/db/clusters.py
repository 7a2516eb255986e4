"""What is wanted: clusters and their hosts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlmodel import Session, col, select

from quoracy.db.holder import this_process
from quoracy.db.lease import held, is_live
from quoracy.db.models import Cluster, Lease, Node, Service
from quoracy.db.session import Database
from quoracy.errors import Refused, UsageError
from quoracy.operation.subject import Subject

Applied = Literal["created", "updated", "unchanged"]

STATUS_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One host as the spec wants it."""

    name: str
    role: str
    address: str
    vars: Mapping[str, Any]


def apply_cluster(
    db: Database,
    *,
    name: str,
    kind: str,
    version: str,
    spec_json: str,
    nodes: Sequence[NodeRow],
    now: datetime,
) -> Applied:
    """Record what is wanted of a cluster; hosts that the spec no longer names are dropped.

    The spec holds references to secrets, never secrets.

    Raises:
        Refused: A cluster of this name and another kind exists.
    """
    wanted = Cluster(
        name=name,
        kind=kind,
        version=version,
        spec=spec_json,
        spec_digest=spec_digest(spec_json),
        created_at=now,
        updated_at=now,
    )
    with db.session() as session:
        found = session.get(Cluster, name, with_for_update=True)
        if found is None:
            session.add(wanted)
            _apply_nodes(session, name, nodes, now)
            return "created"
        _require_same_kind(found, kind)
        nodes_changed = _apply_nodes(session, name, nodes, now)
        if not nodes_changed and _same(found, wanted):
            return "unchanged"
        found.version, found.updated_at = version, now
        found.spec, found.spec_digest = wanted.spec, wanted.spec_digest
        return "updated"


def spec_digest(spec_json: str) -> str:
    """Return the SHA-256 of a spec in canonical JSON: key order and spaces do not count."""
    canonical = json.dumps(json.loads(spec_json), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def get_cluster(db: Database, name: str) -> Cluster:
    """Return a cluster; a UsageError lists the known names when there is none of this name."""
    with db.session() as session:
        return _cluster(session, name)


def list_clusters(db: Database) -> list[Cluster]:
    """Return all clusters by name."""
    with db.session() as session:
        return list(session.exec(select(Cluster).order_by(col(Cluster.name))).all())


def addresses_of(db: Database, cluster: str) -> set[str]:
    """Return the addresses of a cluster's hosts; empty when there is no such cluster."""
    with db.session() as session:
        return {node.address for node in _nodes(session, cluster)}


def forget_cluster(db: Database, name: str, *, now: datetime) -> None:
    """Drop what is wanted of a cluster, its pinned identity too.

    What runs on its hosts, its history and its snapshots stay, and its fencing numbers go on.

    Raises:
        LeaseHeld: An operation works on it.
    """
    with db.session() as session:
        cluster = _cluster(session, name)
        lease = session.get(Lease, name, with_for_update=True)
        if lease is not None and is_live(lease, this_process(), now):
            raise held(lease)
        session.delete(cluster)


def pin_cluster_id(
    db: Database, name: str, cluster_id: str, *, now: datetime, instead_of: str | None = None
) -> None:
    """Record the identity (hexadecimal, as etcdctl prints it) that a cluster got at its creation.

    It stays as it is from then on. Only a restore makes another cluster under the same name: it
    gives the identity that it has replaced as `instead_of`.

    Raises:
        Refused: Another identity is pinned.
    """
    with db.session() as session:
        cluster = _cluster(session, name, lock=True)
        if cluster.cluster_id == cluster_id:
            return
        if cluster.cluster_id not in (None, instead_of):
            raise Refused(
                f"the cluster ID is {cluster_id}, but {cluster.cluster_id} is pinned: "
                "these are not the members that were created under this name",
                where=name,
                next_step="see that the hosts of the spec are the right ones",
            )
        cluster.cluster_id = cluster_id
        cluster.updated_at = now


def unpin_cluster_id(db: Database, name: str, *, now: datetime) -> None:
    """Forget the identity of a cluster whose creation is being put back."""
    with db.session() as session:
        cluster = _cluster(session, name, lock=True)
        cluster.cluster_id = None
        cluster.updated_at = now


def _cluster(session: Session, name: str, *, lock: bool = False) -> Cluster:
    cluster = session.get(Cluster, name, with_for_update=lock)
    if cluster is None:
        known = session.exec(select(Cluster.name).order_by(col(Cluster.name))).all()
        raise UsageError(
            f"there is no cluster {name!r}; known clusters: {', '.join(known) or 'none'}",
            next_step=_instead(session, name),
        )
    return cluster


def _instead(session: Session, name: str) -> str:
    """What to do about a cluster that is not known; it may be the name of a service."""
    service = Subject.parse(name).name
    subject = Subject("service", service)
    if session.get(Service, service) is None:
        return "import it with `quoracy cluster apply -f cluster.yaml`"
    return (
        f"{service} is a service: `quoracy service status {service}`, `quoracy service rollback"
        f" {service}`, `quoracy history {subject}`"
    )


def _nodes(session: Session, cluster: str) -> list[Node]:
    wanted = select(Node).where(Node.cluster == cluster).order_by(col(Node.name))
    return list(session.exec(wanted).all())


def _same(found: Cluster, wanted: Cluster) -> bool:
    return (found.spec_digest, found.version) == (wanted.spec_digest, wanted.version)


def _require_same_kind(cluster: Cluster, kind: str) -> None:
    if cluster.kind != kind:
        raise Refused(
            f"it is a cluster of kind {cluster.kind!r}, not {kind!r}",
            where=cluster.name,
            next_step=f"choose another name, or forget it: `quoracy cluster forget {cluster.name}`",
        )


def _apply_nodes(session: Session, cluster: str, wanted: Sequence[NodeRow], now: datetime) -> bool:
    found = {node.name: node for node in _nodes(session, cluster)}
    changed = False
    for row in wanted:
        node = found.pop(row.name, None)
        if node is None:
            session.add(_new_node(cluster, row, now))
        elif (node.role, node.address, node.vars) != (row.role, row.address, dict(row.vars)):
            node.role, node.address, node.vars = row.role, row.address, dict(row.vars)
            node.updated_at = now
        else:
            continue
        changed = True
    for node in found.values():
        session.delete(node)
    return changed or bool(found)


def _new_node(cluster: str, row: NodeRow, now: datetime) -> Node:
    return Node(
        cluster=cluster,
        name=row.name,
        role=row.role,
        address=row.address,
        status=STATUS_UNKNOWN,
        vars=dict(row.vars),
        updated_at=now,
    )
