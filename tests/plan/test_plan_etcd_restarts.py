"""What is a reason to restart a member, and what is none."""

from __future__ import annotations

from dataclasses import replace

import pytest
from etcd_factories import (
    certificates,
    changed,
    healthy_facts,
    process,
    request,
    running,
    spec,
    with_host,
)

from quoracy.plan.etcd_deploy import plan_etcd_deploy

WANTED = spec()


def test_backup_settings_change_nothing() -> None:
    facts = healthy_facts(WANTED)
    plan = plan_etcd_deploy(spec(backup={"directory": "/elsewhere"}), facts, request())
    assert plan.kind == "nothing"
    assert plan.changes == ()


def test_release_source_and_ssh_change_nothing() -> None:
    other = spec(release={"url": "https://mirror.example/etcd"}, ssh={"port": 2222})
    assert plan_etcd_deploy(other, healthy_facts(WANTED), request()).kind == "nothing"


def test_other_leaf_certificates_are_no_reason_to_restart() -> None:
    """etcd reads leaves at each handshake."""
    facts = healthy_facts(WANTED)
    for host in WANTED.hosts:
        pem = certificates(host, days=300, made_days_ago=3)
        facts = changed(facts, host.name, certificates=pem)
    assert plan_etcd_deploy(WANTED, facts, request()).kind == "nothing"


@pytest.mark.parametrize("state_key", ["new", "existing"])
def test_bootstrap_keys_are_no_reason_to_restart(state_key: str) -> None:
    facts = healthy_facts(WANTED)
    for host in WANTED.hosts:
        ran = process(WANTED, host)
        ran = replace(
            ran,
            config=ran.config.replace("existing", state_key)
            + 'initial-cluster: "demo-1=https://198.51.100.2:2380"\ninitial-cluster-token: "x"\n',
        )
        facts = changed(facts, host.name, process=ran)
    assert plan_etcd_deploy(WANTED, facts, request()).kind == "nothing"


def test_another_pre_start_check_is_switched_without_a_restart() -> None:
    facts = healthy_facts(WANTED)
    for host in WANTED.hosts:
        facts = changed(
            facts,
            host.name,
            generation="0123456789ab",
            staged=frozenset({"0123456789ab"}),
            pre_start="#!/bin/sh\n",
        )
    plan = plan_etcd_deploy(WANTED, facts, request())
    assert {step.name for group in plan.groups for step in group.steps} == {
        "stage-generation",
        "switch-generation",
    }
    assert not any(group.stops_voter for group in plan.groups)
    assert [step.name for step in plan.before] == ["take-snapshot"]


def test_a_file_edited_on_the_host_is_put_right_without_a_restart() -> None:
    facts = changed(healthy_facts(WANTED), "demo-2", config="name: other\n")
    plan = plan_etcd_deploy(WANTED, facts, request())
    assert [(c.host, c.what) for c in plan.changes] == [("demo-2", "config file")]
    assert [step.name for group in plan.groups for step in group.steps] == ["stage-generation"]
    assert plan.title == "repair the files of demo; no member is restarted"


def test_only_the_member_that_differs_is_restarted() -> None:
    old = spec(etcd={"snapshot_count": 5000})
    facts = with_host(healthy_facts(WANTED), "demo-3", running(old, old.hosts[2]))
    plan = plan_etcd_deploy(WANTED, facts, request())
    assert [group.member for group in plan.groups if group.stops_voter] == ["demo-3"]
    assert [(c.host, c.what, c.before, c.after) for c in plan.changes] == [
        ("demo-3", "snapshot-count", "5000", "unset")
    ]


def test_a_new_trusted_ca_restarts_because_etcd_reads_it_once() -> None:
    ran = replace(process(WANTED, WANTED.hosts[1]), ca_sha256="00" * 32)
    plan = plan_etcd_deploy(
        WANTED, changed(healthy_facts(WANTED), "demo-2", process=ran), request()
    )
    assert [c.what for c in plan.changes] == ["trusted CA"]
    assert [group.member for group in plan.groups if group.stops_voter] == ["demo-2"]
