"""What real etcd said in each situation, parsed: nothing here was made up (recorded/README.md)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from quoracy.etcd.checks_alarms import alarm_host, describe
from quoracy.etcd.checks_quorum import check_can_stop, quorate, voter_names
from quoracy.etcd.facts import EtcdHostFacts, parse_etcd_host
from quoracy.etcd.facts_alarms import Alarm
from quoracy.etcd.facts_cluster import EtcdFacts, presence
from quoracy.etcd.facts_read import parse_read
from quoracy.etcd.scripts_staged import staged_content
from quoracy.etcd.spec import EtcdCluster
from quoracy.etcd.templates import peer_url, render_generation
from quoracy.hosts.machine import HostSilent
from quoracy.hosts.question import parse_answers

RECORDED = Path(__file__).parent / "recorded"
FULL = ("3.4.23", "3.5.30")
ALL = ("3.4.23", "3.5.16", "3.5.30")
ADDRESSES = dict(line.split() for line in (RECORDED / "addresses").read_text().splitlines())
HOSTS = tuple(ADDRESSES)


def cluster(version: str) -> EtcdCluster:
    return EtcdCluster.model_validate(
        {
            "kind": "etcd",
            "name": "facts",
            "version": version,
            "hosts": [{"name": name, "address": address} for name, address in ADDRESSES.items()],
            "etcd": {"quota_backend_bytes": 8 * 1024 * 1024},
        }
    )


def recorded(version: str, situation: str) -> EtcdFacts:
    directory = RECORDED / version / situation
    hosts: dict[str, EtcdHostFacts | HostSilent] = {}
    for name in HOSTS:
        silent = directory / f"{name}.silent"
        if silent.exists():
            hosts[name] = HostSilent(silent.read_text().strip())
            continue
        answers = parse_answers((directory / f"{name}.txt").read_bytes())
        hosts[name] = parse_etcd_host(cluster(version), answers)
    asked_at = datetime.fromisoformat((directory / "asked_at").read_text().strip())
    return EtcdFacts(hosts=hosts, asked_at=asked_at)


def test_recordings_hold_no_secrets() -> None:
    texts = [path.read_bytes() for path in RECORDED.rglob("*.txt")]
    assert len(texts) > 60
    for text in texts:
        for answer in parse_answers(text).values():
            assert "PRIVATE KEY" not in answer.text


@pytest.mark.parametrize("version", ALL)
def test_absent(version: str) -> None:
    facts = recorded(version, "absent")
    assert [presence(host) for host in facts.hosts.values()] == ["absent"] * 3
    assert (facts.members, facts.leader, facts.cluster_ids) == (None, None, frozenset())
    for heard in facts.heard.values():
        assert not heard.unit.loaded
        assert heard.process is None
        assert heard.host.architecture == "x86_64"
        assert heard.host.listening >= {22}
        assert set(heard.host.free_bytes) == {
            "/var/lib/etcd/facts",
            "/var/lib/etcd/facts/member/wal",
            "/var/lib/quoracy/facts",
            "/opt/etcd",
        }
        assert all(free > 1024**2 for free in heard.host.free_bytes.values())
        assert abs(heard.host.clock_s - facts.asked_at.timestamp()) < 10


@pytest.mark.parametrize("version", ALL)
def test_healthy(version: str) -> None:
    facts = recorded(version, "healthy")
    assert [presence(host) for host in facts.hosts.values()] == ["present"] * 3
    assert facts.healthy == set(HOSTS)
    assert facts.leader in HOSTS
    assert len(facts.cluster_ids) == 1
    assert facts.revision >= 1
    assert sorted(entry.name for entry in facts.members or ()) == list(HOSTS)
    assert not any(entry.learner for entry in facts.members or ())
    for name, heard in facts.heard.items():
        assert heard.version == version
        assert heard.status is not None
        assert heard.status.version == version
        assert heard.status.alarms == ()
        assert heard.unit.running
        assert heard.unit.enabled
        assert heard.unit.restarts == 0
        assert heard.process is not None
        assert heard.process.executable == f"/opt/etcd/{version}/etcd"
        assert not heard.process.replaced
        assert heard.process.unit == heard.unit_file
        assert heard.config is not None
        assert heard.process.config.startswith(heard.config)
        assert heard.bootstrap is None
        assert heard.config_cluster_id == heard.data_cluster_id == heard.status.cluster_id
        assert set(heard.releases) == {version}
        assert heard.generation in heard.staged
        assert set(heard.certificates) == {"ca.pem", "peer.pem", "server.pem", "client.pem"}
        assert heard.keys == {"peer.key", "server.key", "client.key"}
        assert heard.host.listening >= {22, 2379, 2380}
        assert heard.host.guard is not None
        assert heard.host.guard.fence > 0
        assert check_can_stop(facts, name).status == "pass"


@pytest.mark.parametrize("version", ALL)
def test_one_stopped(version: str) -> None:
    facts = recorded(version, "one-stopped")
    assert facts.healthy == {"facts-1", "facts-2"}
    assert facts.has_leader
    down = facts.heard["facts-3"]
    assert (down.unit.active, down.unit.pid, down.unit.loaded) == ("inactive", 0, True)
    assert (down.process, down.status, down.members) == (None, None, None)
    assert presence(down) == "present"
    assert down.version == version
    assert check_can_stop(facts, "facts-1").reason == "QuorumWouldBeLost"


@pytest.mark.parametrize("version", ALL)
def test_lost_quorum_is_told_from_a_dead_endpoint(version: str) -> None:
    facts = recorded(version, "no-quorum")
    left, dead = facts.heard["facts-1"], facts.heard["facts-2"]
    assert left.unit.running
    assert left.status is not None
    assert left.status.leader_id is None
    assert not left.healthy
    assert dead.status is None
    assert (facts.healthy, facts.leader, facts.has_leader) == (frozenset(), None, False)
    # From 3.5 on the list needs a quorum; 3.4 answers from what it knows.
    assert (facts.members is None) == (version != "3.4.23")
    assert check_can_stop(facts, "facts-1").stops


@pytest.mark.parametrize("version", FULL)
def test_a_paused_process_runs_and_does_not_answer(version: str) -> None:
    facts = recorded(version, "one-paused")
    paused = facts.heard["facts-2"]
    assert paused.unit.running
    assert paused.process is not None
    assert (paused.status, paused.healthy, paused.members) == (None, False, None)
    assert facts.healthy == {"facts-1", "facts-3"}
    assert facts.has_leader


@pytest.mark.parametrize("version", FULL)
def test_a_member_that_is_cut_off_does_not_hide_the_leader_of_the_others(version: str) -> None:
    facts = recorded(version, "one-cut-off")
    alone = facts.heard["facts-3"]
    assert alone.status is not None
    assert (alone.status.leader_id, alone.healthy) == (None, False)
    assert facts.healthy == {"facts-1", "facts-2"}
    assert facts.leader in facts.healthy
    assert facts.has_leader
    # The one that is cut off may be restarted, the others may not.
    assert not check_can_stop(facts, "facts-3").stops
    assert check_can_stop(facts, "facts-1").stops


@pytest.mark.parametrize("version", FULL)
def test_a_host_without_power_is_silent(version: str) -> None:
    facts = recorded(version, "one-powered-off")
    assert list(facts.silent) == ["facts-2"]
    assert presence(facts.hosts["facts-2"]) == "silent"
    assert facts.healthy == {"facts-1", "facts-3"}


@pytest.mark.parametrize("version", FULL)
def test_a_learner_that_has_not_started(version: str) -> None:
    facts = recorded(version, "learner-unstarted")
    learners = [entry for entry in facts.members or () if entry.learner]
    assert [(entry.name, entry.peer_urls) for entry in learners] == [
        ("", (peer_url(cluster(version), cluster(version).host("facts-3")),))
    ]
    assert voter_names(facts) == {"facts-1", "facts-2"}


@pytest.mark.parametrize("version", FULL)
def test_a_learner_answers_and_is_never_healthy(version: str) -> None:
    facts = recorded(version, "learner")
    learner = facts.heard["facts-3"]
    assert learner.unit.running
    assert learner.status is not None
    assert learner.status.learner
    assert learner.status.leader_id == facts.heard["facts-1"].status.leader_id  # type: ignore[union-attr]
    assert not learner.healthy
    assert voter_names(facts) == {"facts-1", "facts-2"}
    assert presence(learner) == "bootstrapping"
    assert check_can_stop(facts, "facts-3").reason == "NotAVoter"
    assert check_can_stop(facts, "facts-1").stops


@pytest.mark.parametrize("version", FULL)
def test_out_of_space_all_members_serve(version: str) -> None:
    """From 3.5 on `endpoint health` calls them unhealthy; a roll would put back members that serve."""
    facts = recorded(version, "nospace")
    assert {alarm.kind for alarm in facts.alarms} == {"NOSPACE"}
    assert facts.healthy == set(HOSTS)
    assert facts.has_leader
    assert quorate(facts)
    assert check_can_stop(facts, "facts-1").status == "pass"
    ids = {status.member_id: name for name, status in facts.statuses.items()}
    for alarm in facts.alarms:
        assert alarm_host(facts, alarm) == ids[alarm.member_id]
    (warning,) = describe(facts)
    assert (warning.reason, warning.stops) == ("AlarmActive", False)


@pytest.mark.parametrize("version", FULL)
def test_corrupt(version: str) -> None:
    facts = recorded(version, "corrupt")
    assert facts.alarms == (Alarm("CORRUPT", "0"),)
    assert [alarm_host(facts, alarm) for alarm in facts.alarms] == [""]
    assert [verdict.stops for verdict in describe(facts)] == [True]


@pytest.mark.parametrize("version", FULL)
@pytest.mark.parametrize("situation", ["auth", "auth-nospace"])
def test_a_read_that_is_denied_proves_a_quorum_as_well(version: str, situation: str) -> None:
    """The hosts' certificates are no users of etcd there."""
    facts = recorded(version, situation)
    assert facts.healthy == set(HOSTS)
    # 3.5.30 tells its status to etcd's role root alone: what is not known is not taken for well.
    assert bool(facts.statuses) == (version == "3.4.23")
    assert bool(facts.alarms) == (version == "3.4.23" and situation == "auth-nospace")
    assert bool(facts.statuses) or check_can_stop(facts, "facts-1").stops


def read_revisions(version: str, situation: str) -> set[int | None]:
    told = (
        parse_answers(path.read_bytes()) for path in (RECORDED / version / situation).glob("*.txt")
    )
    return {parse_read(answers["health"]).revision for answers in told}


@pytest.mark.parametrize("version", ALL)
def test_a_read_tells_the_revision_of_its_own_member(version: str) -> None:
    assert read_revisions(version, "healthy") == {recorded(version, "healthy").revision}
    assert read_revisions(version, "no-quorum") == {None}


@pytest.mark.parametrize("version", ALL)
def test_a_staged_generation_is_known_by_its_content(version: str) -> None:
    wanted = cluster(version)
    for name, heard in recorded(version, "healthy").heard.items():
        generation = render_generation(wanted, wanted.host(name))
        assert heard.staged == {generation.identity: staged_content(wanted, generation)}


@pytest.mark.parametrize("version", ALL)
def test_no_exit_code_decides_anything(version: str) -> None:
    """`endpoint status` ends with 0 without quorum, and with 1 when one of several is dead."""
    path = RECORDED / version / "no-quorum" / "facts-1.txt"
    answers = parse_answers(path.read_bytes())
    assert answers["status"].exit_code == 0
    turned = {name: replace(a, exit_code=1 - a.exit_code % 2) for name, a in answers.items()}
    assert parse_etcd_host(cluster(version), answers) == parse_etcd_host(cluster(version), turned)
