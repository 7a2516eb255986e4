from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from quoracy.db.clusters import (
    NodeRow,
    apply_cluster,
    forget_cluster,
    get_cluster,
    list_clusters,
    pin_cluster_id,
)
from quoracy.db.holder import this_process
from quoracy.db.lease import release_lease, take_lease
from quoracy.db.models import Node
from quoracy.db.session import Database
from quoracy.errors import LeaseHeld, Refused, UsageError


def node(number: int, **changes: Any) -> NodeRow:
    given = {
        "name": f"demo-{number}",
        "role": "member",
        "address": f"198.51.100.{number + 1}",
        "vars": {"zone": "a"},
        **changes,
    }
    return NodeRow(**given)


def nodes_of(db: Database, cluster: str) -> list[Node]:
    """The recorded hosts of a cluster by name."""
    with db.session() as session:
        wanted = select(Node).where(Node.cluster == cluster).order_by(col(Node.name))
        return list(session.exec(wanted).all())


def apply(db: Database, now: datetime, **changes: Any) -> str:
    given = {
        "name": "demo",
        "kind": "etcd",
        "version": "3.4.23",
        "spec_json": json.dumps({"name": "demo", "ssh": {"user": "root"}}),
        "nodes": [node(1), node(2), node(3)],
        "now": now,
        **changes,
    }
    return apply_cluster(db, **given)


@pytest.fixture
def later(now: datetime) -> datetime:
    return now + timedelta(hours=1)


def test_a_cluster_is_created_with_its_hosts(db: Database, now: datetime) -> None:
    assert apply(db, now) == "created"
    cluster = get_cluster(db, "demo")
    assert (cluster.kind, cluster.version, cluster.cluster_id) == ("etcd", "3.4.23", None)
    assert json.loads(cluster.spec) == {"name": "demo", "ssh": {"user": "root"}}
    assert (cluster.created_at, cluster.updated_at) == (now, now)
    found = nodes_of(db, "demo")
    assert [(row.name, row.role, row.address) for row in found] == [
        ("demo-1", "member", "198.51.100.2"),
        ("demo-2", "member", "198.51.100.3"),
        ("demo-3", "member", "198.51.100.4"),
    ]
    assert {(row.status, row.error) for row in found} == {("unknown", None)}
    assert found[0].vars == {"zone": "a"}


def test_the_same_again_changes_nothing(db: Database, now: datetime, later: datetime) -> None:
    apply(db, now)
    other_order = '{"ssh":{"user":"root"},   "name":"demo"}'
    assert apply(db, later, spec_json=other_order) == "unchanged"
    assert get_cluster(db, "demo").updated_at == now


@pytest.mark.parametrize(
    "changes",
    [
        {"version": "3.5.30"},
        {"spec_json": '{"name": "demo"}'},
        {"nodes": [node(1), node(2)]},
        {"nodes": [node(1), node(2), node(3), node(4)]},
        {"nodes": [node(1), node(2), node(3, address="198.51.100.99")]},
        {"nodes": [node(1), node(2), node(3, vars={"zone": "b"})]},
        {"nodes": [node(1), node(2), node(3, role="agent")]},
    ],
)
def test_what_differs_is_updated(
    db: Database, now: datetime, later: datetime, changes: dict[str, Any]
) -> None:
    apply(db, now)
    assert apply(db, later, **changes) == "updated"
    assert apply(db, later, **changes) == "unchanged"
    cluster = get_cluster(db, "demo")
    assert (cluster.created_at, cluster.updated_at) == (now, later)
    assert cluster.version == changes.get("version", "3.4.23")
    wanted = changes.get("nodes", [node(1), node(2), node(3)])
    assert [(n.name, n.role, n.address, n.vars) for n in nodes_of(db, "demo")] == [
        (n.name, n.role, n.address, n.vars) for n in wanted
    ]


def test_an_update_keeps_identity_and_the_hosts_that_stay_as_they_are(
    db: Database, now: datetime, later: datetime
) -> None:
    apply(db, now)
    pin_cluster_id(db, "demo", "cdf818194e3a8c32", now=now)
    apply(db, later, version="3.5.30", nodes=[node(1, address="198.51.100.9"), node(2)])
    assert get_cluster(db, "demo").cluster_id == "cdf818194e3a8c32"
    assert [(n.name, n.address, n.updated_at) for n in nodes_of(db, "demo")] == [
        ("demo-1", "198.51.100.9", later),
        ("demo-2", "198.51.100.3", now),
    ]


def test_the_kind_of_a_cluster_stays(db: Database, now: datetime) -> None:
    apply(db, now)
    with pytest.raises(Refused, match="kind 'etcd', not 'rke2'"):
        apply(db, now, kind="rke2", version="v1.36.1+rke2r1", nodes=[])
    assert get_cluster(db, "demo").version == "3.4.23"
    assert len(nodes_of(db, "demo")) == 3


def test_an_unknown_name_lists_the_known_ones(db: Database, now: datetime) -> None:
    with pytest.raises(UsageError, match="no cluster 'dmo'; known clusters: none"):
        get_cluster(db, "dmo")
    apply(db, now, name="stage", nodes=[])
    apply(db, now)
    with pytest.raises(UsageError, match="no cluster 'dmo'; known clusters: demo, stage"):
        get_cluster(db, "dmo")
    assert [cluster.name for cluster in list_clusters(db)] == ["demo", "stage"]


def test_a_pinned_identity_stays(db: Database, now: datetime, later: datetime) -> None:
    apply(db, now)
    pin_cluster_id(db, "demo", "aaaa", now=now)
    pin_cluster_id(db, "demo", "aaaa", now=later)
    assert get_cluster(db, "demo").updated_at == now
    with pytest.raises(Refused, match="is bbbb, but aaaa is pinned"):
        pin_cluster_id(db, "demo", "bbbb", now=later)
    with pytest.raises(Refused):
        pin_cluster_id(db, "demo", "bbbb", now=later, instead_of="cccc")
    assert get_cluster(db, "demo").cluster_id == "aaaa"


def test_a_restore_replaces_the_identity_that_it_knows(db: Database, now: datetime) -> None:
    apply(db, now)
    pin_cluster_id(db, "demo", "aaaa", now=now)
    pin_cluster_id(db, "demo", "bbbb", now=now, instead_of="aaaa")
    assert get_cluster(db, "demo").cluster_id == "bbbb"


def test_a_forgotten_cluster_is_gone_with_its_hosts(db: Database, now: datetime) -> None:
    apply(db, now)
    apply(db, now, name="stage")
    forget_cluster(db, "demo", now=now)
    assert [cluster.name for cluster in list_clusters(db)] == ["stage"]
    assert nodes_of(db, "demo") == []
    assert len(nodes_of(db, "stage")) == 3
    with pytest.raises(UsageError, match="no cluster 'demo'"):
        forget_cluster(db, "demo", now=now)


def test_a_cluster_that_is_worked_on_is_not_forgotten(db: Database, now: datetime) -> None:
    apply(db, now)
    here = this_process()
    lease: dict[str, Any] = {"cluster": "demo", "holder": here, "reason": "upgrade", "now": now}
    fence = take_lease(db, operation_id="op-1", **lease)
    with pytest.raises(LeaseHeld, match="upgrade"):
        forget_cluster(db, "demo", now=now)
    assert len(nodes_of(db, "demo")) == 3
    release_lease(db, "demo", here, fence)
    pin_cluster_id(db, "demo", "aaaa", now=now)
    forget_cluster(db, "demo", now=now)
    apply(db, now)
    assert get_cluster(db, "demo").cluster_id is None
    assert take_lease(db, operation_id="op-2", **lease) == fence + 1


def test_an_expired_lease_is_not_in_the_way_of_forgetting(db: Database, now: datetime) -> None:
    apply(db, now)
    take_lease(
        db, cluster="demo", operation_id="op", holder=this_process(), reason="upgrade", now=now
    )
    forget_cluster(db, "demo", now=now + timedelta(seconds=61))
    assert list_clusters(db) == []
