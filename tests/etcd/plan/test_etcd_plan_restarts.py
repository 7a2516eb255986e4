"""What is a reason to restart a member, and what is none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from quoracy.etcd.plan.deploy import plan_etcd_deploy
from quoracy.etcd.plan.member import running_changes, settings
from quoracy.etcd.steps import StartMember, StopMember, SwitchGeneration
from tests.etcd_factories import (
    certificates,
    changed,
    healthy_facts,
    process,
    request,
    running,
    spec,
    staged,
    with_host,
)

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
            staged={"0123456789ab": f"0123456789ab\n{'0' * 64}  pre-start\n/opt/etcd/3.5.16"},
            pre_start="#!/bin/sh\n",
        )
    plan = plan_etcd_deploy(WANTED, facts, request())
    assert {step.name for group in plan.groups for step in group.steps} == {
        "stage-generation",
        "switch-generation",
    }
    assert not any(group.gate for group in plan.groups)
    assert [step.name for step in plan.before] == ["take-snapshot"]


@pytest.mark.parametrize(
    ("found", "edited", "what"),
    [
        ({"config": "name: other\n"}, {"config": "name: other\n"}, "config file"),
        ({"pre_start": "exit 0\n"}, {"pre_start": "exit 0\n"}, "pre-start file"),
        # Neither is read at the look: the unit beside the copy that systemd has, and where the link leads.
        ({}, {"unit": "[Service]\nExecStart=/bin/false\n"}, "generation"),
        ({}, {"version": "3.5.1"}, "generation"),
    ],
)
def test_a_file_edited_on_the_host_is_put_right_without_a_restart(
    found: dict[str, str], edited: dict[str, str], what: str
) -> None:
    lies = staged(WANTED, WANTED.hosts[1], **edited)
    facts = changed(healthy_facts(WANTED), "demo-2", staged=lies, **found)
    plan = plan_etcd_deploy(WANTED, facts, request())
    assert [(c.host, c.what) for c in plan.changes] == [("demo-2", what)]
    assert [step.name for group in plan.groups for step in group.steps] == ["stage-generation"]
    assert plan.title == "repair the files of demo; no member is restarted"


def test_a_staged_generation_that_was_edited_is_staged_anew() -> None:
    """Its name proves nothing, and the next roll would start it."""
    old = spec(etcd={"snapshot_count": 5000})
    facts = healthy_facts(old)
    for host in WANTED.hosts:
        lies = {**staged(old, host), **staged(WANTED, host, config="name: other\n")}
        facts = changed(
            facts, host.name, staged=lies if host.name == "demo-2" else staged(WANTED, host)
        )
    plan = plan_etcd_deploy(WANTED, facts, request())
    assert [(s.host, s.name) for s in plan.groups[0].steps] == [("demo-2", "stage-generation")]


def test_every_step_knows_what_it_brings_into_use() -> None:
    old = spec(etcd={"snapshot_count": 5000})
    plan = plan_etcd_deploy(WANTED, healthy_facts(old), request())
    for host, group in ((WANTED.host(g.title), g) for g in plan.groups if g.gate):
        stop, switch, start, _ = group.steps
        assert isinstance(stop, StopMember)
        assert isinstance(switch, SwitchGeneration)
        assert isinstance(start, StartMember)
        (wanted,), (before,) = staged(WANTED, host).values(), staged(old, host).values()
        assert stop.content.startswith(wanted.rpartition("\n")[0])
        assert "  /etc/etcd/demo/tls/ca.pem\n" in stop.content
        assert (switch.content, switch.previous_content) == (wanted, before)
        assert "  /etc/systemd/system/etcd-demo.service\n" in start.content
        back = SwitchGeneration(host.name, switch.previous or "", switch.identity, before, wanted)
        assert switch.undo == (back,)
        assert stop.undo[0] == StartMember(host.name, content=before)


def test_the_way_back_to_files_that_were_edited_is_said_before() -> None:
    old = spec(etcd={"snapshot_count": 5000})
    facts = changed(
        healthy_facts(old),
        "demo-2",
        config="name: other\n",
        staged=staged(old, old.hosts[1], config="name: other\n"),
    )
    plan = plan_etcd_deploy(WANTED, facts, request())
    assert [v.where for v in plan.verdicts if v.reason == "GenerationEdited"] == ["demo-2"]
    assert not plan.refused


def test_only_the_member_that_differs_is_restarted() -> None:
    old = spec(etcd={"snapshot_count": 5000})
    facts = with_host(healthy_facts(WANTED), "demo-3", running(old, old.hosts[2]))
    plan = plan_etcd_deploy(WANTED, facts, request())
    assert [group.title for group in plan.groups if group.gate] == ["demo-3"]
    assert [(c.host, c.what, c.before, c.after) for c in plan.changes] == [
        ("demo-3", "snapshot-count", "5000", "unset")
    ]


def test_a_new_trusted_ca_restarts_because_etcd_reads_it_once() -> None:
    ran = replace(process(WANTED, WANTED.hosts[1]), ca_sha256="00" * 32)
    plan = plan_etcd_deploy(
        WANTED, changed(healthy_facts(WANTED), "demo-2", process=ran), request()
    )
    assert [c.what for c in plan.changes] == ["trusted CA"]
    assert [group.title for group in plan.groups if group.gate] == ["demo-2"]


BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]" for n in range(1, 12)]
)
"""Lists of lists by reference: 8^12 words, were they written out, as a comparison does."""


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "a: !!python/object/apply:os.getpid []",
        "[" * 20_000,
        "a: " + "[" * 30_000,
        "name: demo-1\n" * 5_000,
        "? " * 5_000,
        "a: \x00",
        "a: 2026-99-99",
    ],
    ids=["aliases", "a tag", "depth", "depth below a key", "size", "keys of keys", "NUL", "a date"],
)
def test_a_configuration_that_no_process_of_ours_read_differs_and_is_not_looked_at_further(
    text: str,
) -> None:
    """Etcd's user can write the one in the runtime directory of a process of an earlier version."""
    host = WANTED.hosts[0]
    facts = running(WANTED, host, process=replace(process(WANTED, host), config=text))
    assert settings(text) == {}
    changes = running_changes(WANTED, host, facts)
    assert ("name", "unset", "demo-1") in {(one.what, one.before, one.after) for one in changes}
