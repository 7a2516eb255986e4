"""Quorum arithmetic for one to seven voters, every state, beside a count of our own."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from quoracy.errors import Refused
from quoracy.etcd.checks_quorum import check_can_stop, quorum, voter_names
from quoracy.etcd.facts import MemberEntry
from quoracy.etcd.facts_cluster import EtcdFacts
from quoracy.hosts.machine import HostSilent
from quoracy.operation.verdict import Status, Verdict, failed, passed, require, unknown, warned
from tests.etcd_factories import changed, entries, healthy_facts, running, spec, stopped, with_host

STATES = ("healthy", "unhealthy", "down", "silent")


def test_quorum_is_the_smallest_number_of_which_two_sets_always_meet() -> None:
    for voters in range(1, 8):
        meeting = [n for n in range(1, voters + 1) if 2 * n > voters]
        assert quorum(voters) == meeting[0]


def facts_of_states(states: tuple[str, ...]) -> EtcdFacts:
    """Members in these states; healthy only when enough of them are, as with real etcd."""
    cluster = spec(len(states))
    up = [i for i, state in enumerate(states) if state == "healthy"]
    quorate = 2 * len(up) > len(states)
    leader = cluster.hosts[up[0]].name if quorate else None
    facts = healthy_facts(cluster)
    for host, state in zip(cluster.hosts, states, strict=True):
        if state == "silent":
            facts = with_host(facts, host.name, HostSilent("timeout"))
        elif state == "down":
            facts = with_host(facts, host.name, stopped(cluster, host))
        else:
            well = state == "healthy" and quorate
            facts = with_host(
                facts, host.name, running(cluster, host, leader if well else None, healthy=well)
            )
    return facts


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("downtime", [False, True])
def test_a_voter_may_stop_only_when_the_rest_is_a_quorum(count: int, downtime: bool) -> None:
    tried = 0
    for states in product(STATES, repeat=count):
        if list(states[1:]) != sorted(states[1:]):
            continue  # the others' order does not matter
        tried += 1
        facts = facts_of_states(states)
        up = states.count("healthy")
        quorate = 2 * up > count
        left = states[1:].count("healthy")
        answered = states[0] in ("healthy", "unhealthy")
        small = downtime and ((count == 1 and answered) or (count == 2 and quorate and left == 1))
        allowed = (quorate and 2 * left > count) or small
        verdict = check_can_stop(facts, "demo-1", allow_downtime=downtime)
        assert verdict.stops != allowed, (states, verdict)
    assert tried >= 4


@pytest.mark.parametrize("count", [6, 7])
def test_larger_clusters_by_number_of_healthy_others(count: int) -> None:
    for left in range(count):
        states = ("healthy", *["healthy"] * left, *["down"] * (count - 1 - left))
        assert check_can_stop(facts_of_states(states), "demo-1").stops == (2 * left <= count)


def test_without_a_member_list_nothing_is_known() -> None:
    facts = healthy_facts(spec(), members=None)
    assert check_can_stop(facts, "demo-1").status is Status.UNKNOWN


def test_an_election_under_way_is_no_time_to_stop_anyone() -> None:
    cluster = spec()
    facts = with_host(healthy_facts(cluster), "demo-3", running(cluster, cluster.hosts[2], None))
    assert check_can_stop(facts, "demo-1").reason == "QuorumWouldBeLost"


def test_learners_do_not_vote() -> None:
    cluster = spec()
    listed = entries(cluster)
    learner = MemberEntry(listed[2].member_id, "demo-3", listed[2].peer_urls, learner=True)
    facts = healthy_facts(cluster, members=(*listed[:2], learner))
    assert voter_names(facts) == {"demo-1", "demo-2"}
    assert check_can_stop(facts, "demo-3").reason == "NotAVoter"
    assert check_can_stop(facts, "demo-1").reason == "DowntimeNeeded"


def test_a_voter_that_never_started_counts_as_down() -> None:
    cluster = spec()
    never = MemberEntry("ab", "", ("https://198.51.100.9:2380",), learner=False)
    facts = healthy_facts(cluster, members=(*entries(cluster), never))
    assert len(voter_names(facts)) == 4
    assert check_can_stop(facts, "demo-1").stops
    assert "198.51.100.9" in check_can_stop(facts, "demo-1").message


def test_the_list_of_the_member_that_has_applied_most_counts() -> None:
    cluster = spec()
    facts = healthy_facts(cluster)
    behind = facts.heard["demo-2"].status
    assert behind is not None
    lagging = running(cluster, cluster.hosts[1], members=entries(cluster)[:1])
    facts = with_host(facts, "demo-2", lagging)
    low = replace(behind, applied_index=3)
    facts = changed(facts, "demo-2", status=low)
    assert facts.members == entries(cluster)


def test_require_raises_with_every_reason_and_advice_once() -> None:
    fine: list[Verdict] = [passed("A", "a"), warned("B", "b", next_step="never said")]
    require(fine)
    with pytest.raises(Refused) as raised:
        require(
            [
                *fine,
                failed("C", "c went wrong", where="demo-1", next_step="do this"),
                unknown("D", "d is not known", next_step="do this"),
            ]
        )
    assert "demo-1: c went wrong [C]" in raised.value.what
    assert "d is not known [D]" in raised.value.what
    assert raised.value.next_step == "do this"
    assert raised.value.exit_code == 3
