"""Creating a cluster, and finishing a create that was interrupted."""

from __future__ import annotations

from quoracy.etcd.params import Action
from quoracy.etcd.plan.deploy import plan_etcd_deploy
from tests.etcd_factories import (
    absent,
    absent_facts,
    bootstrapping,
    facts_of,
    machine,
    request,
    running,
    spec,
    told,
    with_host,
)

WANTED = spec()


def test_a_port_that_something_else_holds_refuses_a_create() -> None:
    busy = absent(host=machine(listening=frozenset({22, 2380})))
    facts = with_host(absent_facts(WANTED), "demo-2", busy)
    plan = plan_etcd_deploy(WANTED, facts, request(pinned_cluster_id=None))
    assert [(v.reason, v.where) for v in plan.verdicts if v.stops] == [("PortTaken", "demo-2")]


def test_the_token_that_is_drawn_makes_no_other_plan() -> None:
    """A plan that was looked at can be applied by its ID, in a process that draws another one."""
    plans = [
        plan_etcd_deploy(WANTED, absent_facts(WANTED), request(token=token, pinned_cluster_id=None))
        for token in ("one-token", "other-token")
    ]
    assert plans[0].groups
    assert plans[0].digest == plans[1].digest


def test_an_interrupted_create_is_finished_with_the_token_it_was_begun_with() -> None:
    hosts = WANTED.hosts
    facts = facts_of(
        {
            "demo-1": bootstrapping(WANTED, hosts[0]),
            "demo-2": bootstrapping(WANTED, hosts[1]),
            "demo-3": absent(),
        }
    )
    plan = plan_etcd_deploy(WANTED, facts, request(token="other-token", pinned_cluster_id=None))
    assert not plan.refused
    assert plan.title.startswith("finish the create of demo")
    written = [s for _, s in plan.steps if s.name == "write-bootstrap"]
    assert [s.host for s in written] == ["demo-3"]
    assert "demo-0123456789abcdef" in getattr(written[0], "content")  # noqa: B009


def test_an_interrupted_create_of_other_members_is_refused() -> None:
    begun = spec(3, ports={"client": 2379, "peer": 3380})
    facts = facts_of({h.name: bootstrapping(begun, h) for h in begun.hosts})
    plan = plan_etcd_deploy(WANTED, facts, request(pinned_cluster_id=None))
    assert told(plan).stops == ["CreateDiffers"]


def test_an_interrupted_create_may_be_created_again_and_not_once_a_member_is_finished() -> None:
    hosts = WANTED.hosts
    begun = facts_of({h.name: bootstrapping(WANTED, h) for h in hosts})
    asked = request(action=Action.CREATE, pinned_cluster_id=None)
    assert not plan_etcd_deploy(WANTED, begun, asked).refused
    served = facts_of({h.name: bootstrapping(WANTED, h, has_log=True) for h in hosts})
    finished = with_host(served, "demo-1", running(WANTED, hosts[0]))
    assert told(plan_etcd_deploy(WANTED, finished, asked)).stops == ["ClusterExists"]


def test_putting_back_a_resumed_create_never_takes_away_a_log_that_was_there() -> None:
    """The others have formed the cluster: a voter must not come back without its log."""
    hosts = WANTED.hosts
    facts = facts_of(
        {
            "demo-1": running(
                WANTED, hosts[0], bootstrap=bootstrapping(WANTED, hosts[0]).bootstrap
            ),
            "demo-2": running(
                WANTED, hosts[1], bootstrap=bootstrapping(WANTED, hosts[1]).bootstrap
            ),
            "demo-3": bootstrapping(WANTED, hosts[2], has_log=True),
        }
    )
    plan = plan_etcd_deploy(WANTED, facts, request(pinned_cluster_id=None))
    undone = [back.name for _, step in plan.steps for back in step.undo]
    assert "form-member" in [step.name for _, step in plan.steps]
    assert "withdraw-member" not in undone
