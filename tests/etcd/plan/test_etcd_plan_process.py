"""Processes of which a host says odd things: the plan says what differs, and does not break."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from quoracy.etcd.facts import EtcdHostFacts
from quoracy.etcd.plan.member import running_changes, settings
from tests import etcd_factories as make

DEMO = make.spec(3)
HOST = DEMO.hosts[0]


def running(**process: Any) -> EtcdHostFacts:
    facts = make.running(DEMO, HOST, HOST.name)
    assert facts.process is not None
    return replace(facts, process=replace(facts.process, **process))


@pytest.mark.parametrize(
    ("executable", "told"),
    [("", "unknown"), ("etcd", "unknown"), ("/opt/etcd/3.4.1/etcd (deleted)", "3.4.1")],
)
def test_the_version_of_a_member_that_does_not_answer_is_that_of_its_executable(
    executable: str, told: str
) -> None:
    """A process that ended while it was looked at has none."""
    facts = replace(running(executable=executable), status=None)
    (change,) = running_changes(DEMO, HOST, facts)
    assert (change.what, change.before) == ("version", told)


@pytest.mark.parametrize(
    "text", ["k: 2001-02-30\n", "k: !!timestamp x\n", "- " * 2000, "[1, 2", "k: !!int x\n", "- a\n"]
)
def test_a_configuration_that_is_none_differs_in_everything(text: str) -> None:
    assert settings(text) == {}
    assert {change.before for change in running_changes(DEMO, HOST, running(config=text))} == {
        "unset"
    }


def test_keys_that_are_no_texts_are_told_as_texts() -> None:
    config = f'1: a\n2001-01-01: b\nz: "\\e[31m\\n"\n{make.running(DEMO, HOST, None).config}'
    found = {one.what: one.before for one in running_changes(DEMO, HOST, running(config=config))}
    assert found == {"1": "a", "2001-01-01": "b", "z": "?[31m"}
