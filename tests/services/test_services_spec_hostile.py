"""service-config.yml: whatever stands in it, it is taken or refused in words."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quoracy.errors import UsageError
from quoracy.services.spec import Service
from quoracy.services.spec_keys import KNOWN
from quoracy.services.spec_parse import ParsedService
from tests.specs.spec_files import GOOD, SOURCE, parsed

HOSTILE = [
    "a;b", "$(touch /tmp/x)", "`reboot`", "a b", "a'b", 'a"b', "a\nb", "\t", "../../etc/passwd",
    "/a/../../etc", "é", "\u202egnp", "\u2028", "a\u0000b", "%n", "${HOME}", "{{ 7*7 }}", "-rf",
    "", " ", "~", "*", "x" * 20_000, "&a", True, 7, -1, 1.5, 10**30, float("inf"), [], ["x"], {},
]  # fmt: skip
BASE: dict[str, Any] = yaml.safe_load(GOOD) | {"ssh": {}}


def fields() -> list[tuple[Any, ...]]:
    """Every key of the schema, with the path to it."""
    schema = Service.model_json_schema(by_alias=True)
    ssh = list(schema["$defs"]["Ssh"]["properties"])
    return [
        *((name,) for name in schema["properties"]),
        *(("redeploy", name) for name in schema["$defs"]["Redeploy"]["properties"]),
        *(("ssh", name) for name in ssh),
        *(("hosts", 0, name) for name in schema["$defs"]["ServiceHost"]["properties"]),
        ("container_env", "NODE_ENV"),
    ]


def put(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    if isinstance(node, list):
        return [put(one, path[1:], value) if n == path[0] else one for n, one in enumerate(node)]
    return {**node, path[0]: put(node.get(path[0]), path[1:], value)}


@pytest.mark.parametrize("path", fields(), ids=lambda path: ".".join(map(str, path)))
def test_every_field_with_hostile_texts_and_wrong_types(path: tuple[Any, ...]) -> None:
    seen = set()
    for value in HOSTILE:
        text = yaml.safe_dump(put(BASE, path, value), allow_unicode=True)
        seen.add(assert_parsed_or_refused(text))
    assert False in seen


def assert_parsed_or_refused(text: str) -> bool:
    """Whether it was taken; what was taken can be recorded and read again."""
    told, refusal = taken(text)
    if told is None:
        assert refusal is not None
        assert (refusal.where, refusal.exit_code) == (SOURCE, 2)
        assert refusal.next_step
        assert all(char.isprintable() or char == "\n" for char in str(refusal)), repr(refusal)
        return False
    service = told.service
    assert Service.model_validate_json(service.model_dump_json(by_alias=True)) == service
    assert all(warning.isprintable() for warning in told.warnings)
    return True


def taken(text: str) -> tuple[ParsedService | None, UsageError | None]:
    try:
        return parsed(text), None
    except UsageError as error:
        return None, error


MANY = settings(
    max_examples=300,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ("static", "database", "shop-1", "192.0.2.1", "/opt/x", "{{ x }}", "uploads")
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = st.sampled_from(KNOWN) | st.text(max_size=10)


@MANY
@given(st.dictionaries(KEYS, VALUES, max_size=4), st.dictionaries(KEYS, VALUES, max_size=2))
def test_no_document_is_a_traceback(over: dict[str, Any], inner: dict[str, Any]) -> None:
    document = BASE | over
    if isinstance(document["redeploy"], dict):
        document["redeploy"] = document["redeploy"] | inner
    assert assert_parsed_or_refused(yaml.safe_dump(document, allow_unicode=True)) in (True, False)


@MANY
@given(
    st.integers(0, len(GOOD)),
    st.integers(0, 12),
    st.text(max_size=6) | st.sampled_from(("\n", "  ", "- ", ": ", "{", "]", "&a ", "!x ", "'")),
)
def test_no_typo_is_a_traceback(start: int, length: int, inserted: str) -> None:
    text = GOOD[:start] + inserted + GOOD[start + length :]
    assert assert_parsed_or_refused(text) in (True, False)
