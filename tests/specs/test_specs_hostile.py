"""Every text field of the spec, found in the model itself, filled with what must not pass.

A value that is accepted may go into a script, a unit, a configuration file or a certificate, so
each accepted one is rendered, too, and must stay one value there.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import yaml

from quoracy.errors import UsageError
from quoracy.etcd import scripts as commands
from quoracy.etcd.facts import etcd_questions
from quoracy.etcd.spec import EtcdCluster
from quoracy.etcd.spec_parse import parse_cluster
from quoracy.etcd.templates import bootstrap_config, render_generation
from quoracy.hosts.question import ask_all
from quoracy.hosts.targets import ssh_targets

FULL: dict[str, Any] = {
    "kind": "etcd",
    "name": "demo",
    "version": "3.5.16",
    "hosts": [
        {
            "name": "demo-1",
            "address": "198.51.100.2",
            "peer_address": "192.0.2.2",
            "ssh": {
                "user": "root",
                "key_file": "/k",
                "known_hosts": "/kh",
                "gateway": "192.0.2.1",
            },
        }
    ],
    "ssh": {"user": "root", "key_file": "/k", "known_hosts": "/kh", "gateway": "192.0.2.1"},
    "tls": {"files": {"ca": "/ca", "certificate": "/{host}-{role}.pem", "key": "/{host}.key"}},
    "directories": {"data": "/d/a", "wal": "/d/w", "config": "/d/c", "bin": "/d/b"},
    "etcd": {
        "auto_compaction_mode": "periodic",
        "auto_compaction_retention": "8h",
        "metrics": "basic",
        "log_level": "info",
        "extra": {"cors": "*"},
    },
    "systemd": {"io_class": "idle", "memory_max": "8G", "cpu_quota": "200%"},
    "backup": {
        "s3": {
            "endpoint": "https://s3.example",
            "bucket": "bucket",
            "prefix": "a/b",
            "region": "us-east-1",
            "access_key": "env:A",
            "secret_key": "file:/b",
        }
    },
    "release": {"url": "https://mirror.example"},
}
HOSTILE = [
    "$(touch /tmp/x)",
    "`reboot`",
    "a; reboot",
    "a && b",
    "a | b",
    "a'b",
    'a"b',
    "a\nb",
    "a\r\nExecStart=/bin/sh",
    "a\\nb",
    "../../etc/passwd",
    "/a/../../etc",
    "a b",
    "-rf",
    "${HOME}",
    "%n",
    "a\u0000b",
    "\u202egnp.sh",
    "é",
    "\uff11\uff12",
    "",
    " ",
    "{{ 7*7 }}",
    "{0.__class__}",
    "x" * 5000,
    "*",
    "~root",
    "#",
]


def text_fields(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all texts in FULL; that FULL has every text field is tested below."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from text_fields(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from text_fields(inner, (*path, index))
    elif isinstance(value, str):
        yield path


FIELDS = list(text_fields(FULL))


def filled(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    def copy(node: Any, rest: tuple[Any, ...]) -> Any:
        if not rest:
            return value
        if isinstance(node, list):
            return [copy(item, rest[1:]) if i == rest[0] else item for i, item in enumerate(node)]
        return {k: copy(v, rest[1:]) if k == rest[0] else v for k, v in node.items()}

    found: dict[str, Any] = copy(FULL, path)
    return found


def test_the_example_has_every_text_field_of_the_model() -> None:
    schema = EtcdCluster.model_json_schema()
    definitions = {"": schema, **schema["$defs"]}

    def is_text(field: dict[str, Any]) -> bool:
        return any(one.get("type") == "string" for one in (field, *field.get("anyOf", ())))

    wanted = {
        name
        for definition in definitions.values()
        for name, field in definition.get("properties", {}).items()
        if is_text(field)
    }
    # Where backups and releases lie on the controller excludes the fields given here.
    assert wanted - {path[-1] for path in FIELDS} == {"directory"}


@pytest.mark.parametrize("value", HOSTILE, ids=lambda v: repr(v[:20]))
@pytest.mark.parametrize("path", FIELDS, ids=lambda p: ".".join(map(str, p)))
def test_hostile_text(path: tuple[Any, ...], value: str) -> None:
    text = yaml.safe_dump(filled(path, value), allow_unicode=True)
    with suppress(UsageError):
        assert_stays_one_value(parse_cluster(text, source="cluster.yaml"))


def assert_stays_one_value(cluster: EtcdCluster) -> None:
    """Accepted: then every text made of it keeps its form."""
    plain = EtcdCluster.model_validate(FULL)
    made, expected = (render_generation(c, c.hosts[0]) for c in (cluster, plain))
    assert len(made.unit.splitlines()) == len(expected.unit.splitlines())
    assert len(made.pre_start.splitlines()) == len(expected.pre_start.splitlines())
    assert yaml.safe_load(made.config).keys() == yaml.safe_load(expected.config).keys()
    assert set(yaml.safe_load(bootstrap_config(cluster, "t"))) == {
        "initial-cluster",
        "initial-cluster-token",
        "initial-cluster-state",
    }
    words = commands.prepare_host(cluster) + ask_all(etcd_questions(cluster))
    for forbidden in ("touch /tmp/x", "reboot", "ExecStart=/bin/sh", "${HOME}", "{{", ".."):
        assert forbidden not in words
        assert forbidden not in made.pre_start
        assert forbidden not in made.unit
    assert ssh_targets(cluster, default_known_hosts="/kh")[0].name == cluster.hosts[0].name


@pytest.mark.parametrize("path", FIELDS, ids=lambda p: ".".join(map(str, p)))
@pytest.mark.parametrize("value", [None, 7, 1.5, True, [], {}, [["x"]], {"a": "b"}], ids=repr)
def test_another_type_is_refused_or_means_unset(path: tuple[Any, ...], value: Any) -> None:
    text = yaml.safe_dump(filled(path, value))
    try:
        cluster = parse_cluster(text, source="cluster.yaml")
    except UsageError:
        return
    # A bare number of bytes is what it looks like.
    assert value in (None, {}, []) or (value, path[-1]) == (7, "memory_max")
    assert render_generation(cluster, cluster.hosts[0]).config


def test_what_is_accepted_is_understood_by_sh() -> None:
    cluster = EtcdCluster.model_validate(FULL)
    text = render_generation(cluster, cluster.hosts[0]).pre_start
    done = subprocess.run(["sh", "-n"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
