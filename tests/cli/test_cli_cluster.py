from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from quoracy.etcd.spec import EtcdCluster

Call = Callable[..., Any]


def test_apply_list_show_forget(call: Call, spec_file: Path) -> None:
    applied = call("cluster", "apply", "-f", str(spec_file))
    assert applied.exit_code == 0
    assert "demo: created" in applied.out
    assert "next: quoracy plan etcd-deploy demo" in applied.out
    again = call("cluster", "apply", "-f", str(spec_file), "--json")
    assert again.json == {"name": "demo", "applied": "unchanged"}

    listed = call("cluster", "list")
    assert listed.out.splitlines()[1].split() == ["demo", "etcd", "3.5.16", "not", "created", "yet"]
    assert call("cluster", "list", "--json").json == [
        {"name": "demo", "kind": "etcd", "version": "3.5.16", "cluster_id": None}
    ]
    shown = call("cluster", "show", "demo").json
    assert shown.pop("cluster_id") is None
    wanted = EtcdCluster.model_validate(yaml.safe_load(spec_file.read_text()))
    assert EtcdCluster.model_validate(shown) == wanted

    assert "demo: forgotten" in call("cluster", "forget", "demo", "--yes").out
    assert call("cluster", "list", "--json").json == []
    assert "quoracy cluster apply" in call("cluster", "list").out


def test_the_schema_is_for_editors(call: Call) -> None:
    schema = call("cluster", "schema").json
    assert schema["type"] == "object"
    assert {"name", "version", "hosts"} <= set(schema["required"])


@pytest.mark.parametrize("arguments", [("show", "nope"), ("forget", "nope", "--yes")])
def test_a_cluster_nobody_knows_is_a_usage_error(call: Call, arguments: tuple[str, ...]) -> None:
    outcome = call("cluster", *arguments)
    assert outcome.exit_code == 2
    assert outcome.out == ""
    assert outcome.err.startswith("quoracy: there is no cluster 'nope'")
    assert "Next: " in outcome.err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe", "cannot be read"),
        (b"name: [", "cluster.yaml"),
        (b"kind: etcd\nname: demo\n", "version"),
        (b"[]", "cluster.yaml"),
    ],
)
def test_a_file_that_is_no_spec_says_what_is_wrong_with_it(
    call: Call, tmp_path: Path, content: bytes, said: str
) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_bytes(content)
    outcome = call("cluster", "apply", "-f", str(file))
    assert (outcome.exit_code, outcome.out) == (2, "")
    assert said in outcome.err


def test_a_file_that_is_missing(call: Call, tmp_path: Path) -> None:
    outcome = call("cluster", "apply", "-f", str(tmp_path / "nowhere.yaml"))
    assert outcome.exit_code == 2
    assert "No such file" in outcome.err
