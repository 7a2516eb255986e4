"""Half-states: each is finished by a deploy, or refused with the command that can."""

from __future__ import annotations

from typing import Any

import pytest

from quoracy.etcd.facts import MemberEntry
from quoracy.etcd.facts_cluster import EtcdFacts
from quoracy.etcd.plan.deploy import plan_etcd_deploy
from quoracy.etcd.plan.half_states import NO_REPLACING
from quoracy.operation.plan import Plan
from tests.etcd_factories import (
    CLUSTER_ID,
    NEW,
    OLD,
    absent,
    bootstrapping,
    changed,
    entries,
    facts_of,
    healthy_facts,
    request,
    running,
    spec,
    status,
    stopped,
    told,
    with_host,
)

WANTED = spec()


def planned(facts: EtcdFacts, **asked: Any) -> Plan:
    return plan_etcd_deploy(WANTED, facts, request(**asked))


def only(plan: Plan) -> tuple[str, str]:
    """Reason and advice of the only verdict that stops."""
    (verdict,) = (verdict for verdict in plan.verdicts if verdict.stops)
    assert plan.groups == ()
    return verdict.reason, verdict.next_step


@pytest.mark.parametrize(
    ("facts", "reason", "advice"),
    [
        ({"has_log": False}, "LogMissing", "is not built yet"),
        (
            {"config_cluster_id": None, "unit_file": None},
            "ConfigurationLost",
            "is not built yet",
        ),
        ({"data_cluster_id": "feed"}, "ForeignData", "directories.data"),
        (
            {"data_cluster_id": None, "config_cluster_id": None},
            "ForeignData",
            "directories.data",
        ),
    ],
)
def test_what_lies_on_one_host(facts: dict[str, Any], reason: str, advice: str) -> None:
    found, next_step = only(planned(changed(healthy_facts(WANTED), "demo-2", **facts)))
    assert found == reason
    assert advice in next_step


def test_a_wiped_host_that_is_still_a_member_is_replaced_never_filled_anew() -> None:
    facts = with_host(healthy_facts(WANTED), "demo-3", absent())
    assert only(planned(facts)) == ("MemberWiped", NO_REPLACING)


def test_a_wiped_host_that_has_been_removed_from_the_cluster_is_scaled() -> None:
    facts = with_host(healthy_facts(WANTED, members=entries(WANTED)[:2]), "demo-3", absent())
    reason, advice = only(planned(facts))
    assert (reason, "is not built yet" in advice) == ("TopologyDiffers", True)


def test_a_member_that_was_added_and_has_never_started() -> None:
    listed = (*entries(WANTED), MemberEntry("a", "", ("https://198.51.100.9:2380",), learner=True))
    reason, advice = only(planned(healthy_facts(WANTED, members=listed)))
    assert (reason, "is not built yet" in advice) == ("NeverStarted", True)


def test_a_member_added_again_after_its_host_was_wiped_is_said_once() -> None:
    listed = (*entries(WANTED)[:2], MemberEntry("a", "", entries(WANTED)[2].peer_urls, False))
    facts = with_host(healthy_facts(WANTED, members=listed), "demo-3", absent())
    assert only(planned(facts))[0] == "MemberWiped"


def test_a_learner_is_no_business_of_a_deploy_with_a_quorum_or_without() -> None:
    learner = running(
        WANTED,
        WANTED.hosts[2],
        healthy=False,
        members=None,
    )
    told_by_itself = status(WANTED, WANTED.hosts[2], None)
    from dataclasses import replace

    learner = replace(learner, status=replace(told_by_itself, learner=True))
    quorate = with_host(healthy_facts(WANTED), "demo-3", learner)
    others_down = {host.name: stopped(WANTED, host) for host in WANTED.hosts[:2]}
    for facts in (quorate, facts_of({**others_down, "demo-3": learner})):
        assert "LearnerFound" in told(planned(facts)).stops


def test_data_of_another_cluster_on_one_host_stops_everything() -> None:
    other = changed(
        healthy_facts(WANTED), "demo-2", config_cluster_id="feed", data_cluster_id="feed"
    )
    assert "ClusterIdDiffers" in told(planned(other)).stops


def test_data_without_a_unit_gets_its_unit_back() -> None:
    host = WANTED.hosts[1]
    lost = stopped(WANTED, host, unit_file=None)
    plan = planned(with_host(healthy_facts(WANTED), "demo-2", lost))
    assert not plan.refused
    assert [step.name for group in plan.groups for step in group.steps] == [
        "switch-generation",
        "start-member",
        "await-member",
    ]


def test_a_release_that_was_pushed_and_not_switched_is_not_pushed_again() -> None:
    old = spec(version=OLD)
    facts = healthy_facts(old)
    for host in old.hosts:
        staged = {NEW: "ab" * 32, OLD: "ab" * 32}
        facts = changed(facts, host.name, releases=staged)
    assert "install-release" not in {step.name for _, step in planned(facts).steps}


def test_a_member_in_an_unfinished_create_that_has_forgotten_its_log_never_starts_again() -> None:
    facts = healthy_facts(WANTED)
    for host in WANTED.hosts:
        facts = changed(
            facts,
            host.name,
            bootstrap="x",
            formed=True,
            data_cluster_id=None,
            config_cluster_id=None,
        )
    facts = changed(facts, "demo-2", has_log=False)
    found = {verdict.reason for verdict in planned(facts).verdicts if verdict.stops}
    assert "LogMissing" in found


def test_once_all_have_served_an_unfinished_create_forms_nobody_anew() -> None:
    """The ID is pinned only when every member has served: who has no log then has lost it."""
    hosts = WANTED.hosts
    facts = facts_of(
        {
            "demo-1": running(WANTED, hosts[0]),
            "demo-2": bootstrapping(WANTED, hosts[1]),
            "demo-3": absent(),
        }
    )
    stops = {
        (v.where, v.reason) for v in planned(facts, pinned_cluster_id=None).verdicts if v.stops
    }
    assert {("demo-2", "LogMissing"), ("demo-3", "MemberWiped")} <= stops


def test_finish_bootstrap_that_was_cut_off_after_the_mark_does_not_make_up_for_a_lost_log() -> None:
    hosts = WANTED.hosts
    facts = facts_of({h.name: bootstrapping(WANTED, h, has_log=True) for h in hosts})
    facts = changed(facts, "demo-2", has_log=False, data_cluster_id=CLUSTER_ID)
    stops = {
        (v.where, v.reason) for v in planned(facts, pinned_cluster_id=None).verdicts if v.stops
    }
    assert ("demo-2", "LogMissing") in stops


def test_a_stop_that_its_gate_must_refuse_is_refused_before_the_backup() -> None:
    """One member runs as wanted and is not healthy; the two others would have to be stopped."""
    old = spec(version=OLD)
    facts = changed(healthy_facts(old), "demo-3", healthy=False)
    facts = with_host(facts, "demo-3", running(WANTED, WANTED.hosts[2], healthy=False))
    assert told(planned(facts)).stops == ["QuorumWouldBeLost"]


@pytest.mark.parametrize(
    "moved",
    [
        {"ports": {"client": 12379, "peer": 2380}},
        {"ports": {"client": 2379, "peer": 12380}},
        {"directories": {"data": "/srv/etcd/demo"}},
        {"directories": {"wal": "/srv/wal/demo"}},
        {"directories": {"config": "/etc/elsewhere/demo"}},
    ],
    ids=str,
)
def test_ports_and_directories_of_a_living_cluster_are_not_changed(moved: dict[str, Any]) -> None:
    """Seen from the new places, the old members look wiped, foreign or dead; that is not said."""
    there = healthy_facts(WANTED)
    wanted = spec(**moved)
    seen = {"status": None, "healthy": False, "members": None}
    if "directories" in moved:
        seen |= {"has_log": False, "data_cluster_id": None}
    if "config" in moved.get("directories", {}):
        seen |= {"config_cluster_id": None, "config": None, "generation": None, "has_log": True}
    for host in wanted.hosts:
        there = changed(there, host.name, **seen)
    plan = plan_etcd_deploy(wanted, there, request())
    assert told(plan).stops == ["PlacesDiffer"]
    assert plan.groups == ()


def test_a_mixed_cluster_after_a_lost_upgrade_is_finished() -> None:
    old = spec(version=OLD)
    facts = with_host(healthy_facts(WANTED), "demo-3", running(old, old.hosts[2]))
    plan = planned(facts, pinned_cluster_id=CLUSTER_ID)
    assert not plan.refused
    assert [group.title for group in plan.groups if group.gate] == ["demo-3"]
