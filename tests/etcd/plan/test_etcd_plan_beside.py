"""Nothing is created beside an etcd that Quoracy did not make, and no directory is shared."""

from __future__ import annotations

from typing import Any

import pytest

from quoracy.etcd.facts_neighbours import Neighbour, Neighbours, OtherCluster
from quoracy.etcd.params import Action, DeployOption
from quoracy.etcd.plan.deploy import plan_etcd_deploy
from quoracy.operation.verdict import Verdict
from tests.etcd_factories import (
    absent,
    absent_facts,
    changed,
    healthy_facts,
    machine,
    request,
    spec,
    with_host,
)

DEMO = spec()
SOMEBODY = Neighbours(foreign=(Neighbour("process 812", "/var/lib/etcd/default", "cdf8"),))


def stops(neighbours: Neighbours, **asked: Any) -> list[Verdict]:
    facts = with_host(absent_facts(DEMO), "demo-2", absent(neighbours=neighbours))
    plan = plan_etcd_deploy(DEMO, facts, request(pinned_cluster_id=None, **asked))
    return [verdict for verdict in plan.verdicts if verdict.stops]


@pytest.mark.parametrize(
    "asked", [{}, {"action": Action.CREATE}, {"option": DeployOption.FORCE_CREATE}], ids=str
)
def test_a_foreign_etcd_is_named_and_nothing_is_created_beside_it(asked: dict[str, Any]) -> None:
    (verdict,) = stops(SOMEBODY, **asked)
    assert (verdict.reason, verdict.where) == ("ForeignEtcd", "demo-2")
    assert verdict.message.endswith("process 812, data in /var/lib/etcd/default, cluster cdf8")
    assert "it is left alone" in verdict.next_step


def test_many_are_counted() -> None:
    many = Neighbours(foreign=tuple(Neighbour(f"process {n}") for n in range(9)))
    assert stops(many)[0].message.endswith("process 4; and 4 more")


@pytest.mark.parametrize(
    ("other", "taken"),
    [
        (OtherCluster("o", "/etc/etcd/o", "/var/lib/etcd/o", ""), False),
        (OtherCluster("o", "/etc/etcd/o", "/var/lib/etcd/demo", ""), True),
        (OtherCluster("o", "/etc/etcd/o", "/var/lib/etcd/demo/inside", ""), True),
        (OtherCluster("o", "/etc/etcd/o", "/var/lib/etcd", ""), True),
        (OtherCluster("o", "/etc/etcd/demo", "/var/lib/etcd/o", ""), True),
        (OtherCluster("o", "/etc/etcd/o", "/x", "/var/lib/etcd/demo/wal"), True),
    ],
)
def test_clusters_share_hosts_and_no_directories(other: OtherCluster, *, taken: bool) -> None:
    assert [one.reason for one in stops(Neighbours(ours=(other,)))] == ["PlacesTaken"] * taken


def test_a_port_is_told_with_its_holder() -> None:
    busy = absent(
        host=machine(listening=frozenset({2379})),
        neighbours=Neighbours(holders=((2379, "process 9 (k3s, k3s.service)"),)),
    )
    facts = with_host(absent_facts(DEMO), "demo-2", busy)
    (verdict,) = [
        v
        for v in plan_etcd_deploy(DEMO, facts, request(pinned_cluster_id=None)).verdicts
        if v.stops
    ]
    assert verdict.message == "port 2379 is in use by process 9 (k3s, k3s.service)"
    assert "stop" not in verdict.next_step


def test_a_cluster_that_is_there_is_not_hindered_by_a_neighbour() -> None:
    facts = changed(healthy_facts(DEMO), "demo-2", neighbours=SOMEBODY)
    assert not plan_etcd_deploy(DEMO, facts, request()).refused
