"""Steps of all systems: told apart by name and fields, written to the journal and read back, and carried out."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields, replace
from typing import Any

import pytest

from quoracy.errors import QuoracyError
from quoracy.etcd import apply as etcd
from quoracy.etcd.templates import Generation
from quoracy.operation.step import _KINDS, Step, as_dict, steps_as_json, steps_from_json
from quoracy.services import apply as services

KINDS = {name: kind for name, kind in _KINDS.items() if kind.__module__.startswith("quoracy.")}
VALUES: dict[str, Any] = {
    "str": "text",
    "int": 7,
    "bool": True,
    "str | None": "text",
    "Generation": Generation("3.5.16", "name: x\n", "[Unit]\n", "#!/bin/sh\n"),
}


def sample(kind: type[Step]) -> Step:
    return kind(**{one.name: VALUES[str(one.type)] for one in fields(kind)})


def other(value: Any) -> Any:
    if isinstance(value, Generation):
        return replace(value, version="3.5.30")
    return not value if isinstance(value, bool) else value + value


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_step_is_read_back_as_it_was_written(kind: type[Step]) -> None:
    step = sample(kind)
    assert steps_from_json(steps_as_json([step, *step.undo])) == (step, *step.undo)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_another_field_makes_another_step_unless_it_is_incidental(kind: type[Step]) -> None:
    step = sample(kind)
    for one in fields(kind):
        changed = replace(step, **{one.name: other(getattr(step, one.name))})
        assert (changed.canonical == step.canonical) == bool(one.metadata.get("incidental")), (
            one.name
        )


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_step_says_what_it_does_and_is_carried_out(kind: type[Step]) -> None:
    step = sample(kind)
    assert step.title
    assert "{" not in step.title
    known = {**etcd._MORE, **services._APPLY}
    assert kind in known or hasattr(kind, "script")


def test_no_two_kinds_have_one_name() -> None:
    with pytest.raises(AssertionError, match="two steps are named stop-member"):
        type("Other", (Step,), {"name": "stop-member"})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[{"name": "no-such-step", "host": "a"}]', "there is no step 'no-such-step'"),
        ('[{"name": "stop-member", "host": "a", "loud": 1}]', "'stop-member' has other fields"),
        ('[{"name": "stop-member"}]', "'stop-member' has other fields"),
    ],
)
def test_what_is_no_step_of_this_version_is_told(text: str, says: str) -> None:
    with pytest.raises(QuoracyError, match=says):
        steps_from_json(text)


def test_the_name_stands_first() -> None:
    step = sample(KINDS["stop-member"])
    assert next(iter(as_dict(step))) == "name"
    assert json.loads(step.canonical)["host"] == step.host
    assert {one.default for one in fields(Step)} == {MISSING}
