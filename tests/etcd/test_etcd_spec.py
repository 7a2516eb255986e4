"""What the model says beyond single fields: keys per version, SSH defaults, the schema for editors."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from pydantic import ValidationError

from quoracy.etcd.spec import EtcdCluster, recorded_cluster
from quoracy.etcd.spec_keys import MANAGED, known_keys, lint_extra_keys
from quoracy.hosts.targets import ssh_targets
from quoracy.specs.fields import PATTERN_WORDS
from tests.etcd_factories import spec

VERSIONS = ("3.4.23", "3.5.16", "3.6.14", "3.7.1")


@pytest.mark.parametrize(
    ("key", "value", "known_to"),
    [
        ("max-wals", 5, VERSIONS),
        ("tls-min-version", "TLS1.2", VERSIONS[1:]),
        ("enable-v2", False, VERSIONS[:2]),
        ("experimental-enable-v2v3", "x", VERSIONS[:2]),
        ("experimental-corrupt-check-time", 1, VERSIONS[:3]),
        ("corrupt-check-time", 1, VERSIONS[2:]),
        ("experimental-max-learners", 1, VERSIONS[:3]),
        ("max-learners", 1, VERSIONS[2:]),
        ("heartbeat-intervall", 100, ()),
    ],
)
def test_keys_per_version(key: str, value: Any, known_to: tuple[str, ...]) -> None:
    for version in VERSIONS:
        if version in known_to:
            lint_extra_keys(version, {key: value})
        else:
            with pytest.raises(ValueError, match=key.removeprefix("experimental-")):
                lint_extra_keys(version, {key: value})


@pytest.mark.parametrize(
    ("version", "key", "hint"),
    [
        ("3.5.16", "max-learners", "3.5.16 calls it experimental-max-learners"),
        ("3.7.1", "experimental-max-learners", "3.7.1 calls it max-learners"),
    ],
)
def test_a_renamed_key_names_the_other(version: str, key: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        lint_extra_keys(version, {key: 1})


@pytest.mark.parametrize("key", sorted(MANAGED))
def test_managed_keys_name_what_sets_them(key: str) -> None:
    with pytest.raises(ValueError, match=f"{key} is set by"):
        lint_extra_keys("3.5.16", {key: "x"})


@pytest.mark.parametrize("version", VERSIONS)
def test_no_key_is_both_managed_and_free(version: str) -> None:
    assert not set(known_keys(version)) & set(MANAGED)


def test_at_version_checks_the_keys_again() -> None:
    cluster = spec(etcd={"extra": {"experimental-max-learners": 2}})
    assert cluster.at_version("3.6.14").version == "3.6.14"
    with pytest.raises(ValidationError, match=r"3\.7\.1 calls it max-learners"):
        cluster.at_version("3.7.1")
    with pytest.raises(ValidationError):
        cluster.at_version("latest")


def test_a_spec_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(spec(), "name", "other")  # noqa: B010


def test_ssh_defaults() -> None:
    (target, *_) = ssh_targets(spec(), default_known_hosts="/home/known_hosts")
    assert (target.user, target.port, target.key_file) == ("root", 22, None)
    assert (target.known_hosts, target.gateway) == ("/home/known_hosts", None)


def test_a_hosts_own_ssh_wins_key_by_key() -> None:
    cluster = EtcdCluster.model_validate(
        {
            **spec(2).model_dump(),
            "ssh": {"user": "admin", "port": 2222, "key_file": "/k", "gateway": "jump.example"},
            "hosts": [
                {"name": "demo-1", "address": "198.51.100.2", "ssh": {"port": 22, "user": "me"}},
                {"name": "demo-2", "address": "198.51.100.3", "ssh": {"known_hosts": "/own"}},
            ],
        }
    )
    one, two = ssh_targets(cluster, default_known_hosts="/kh")
    assert (one.user, one.port, one.key_file, one.known_hosts) == ("me", 22, "/k", "/kh")
    assert (two.user, two.port, two.key_file, two.known_hosts) == ("admin", 2222, "/k", "/own")
    assert one.gateway is not None
    assert (one.gateway.address, one.gateway.port, one.gateway.user) == ("jump.example", 22, "me")
    assert one.gateway.gateway is None


def test_every_field_of_the_schema_can_be_looked_up() -> None:
    schema = EtcdCluster.model_json_schema()
    assert json.loads(json.dumps(schema)) == schema
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == {"kind", "name", "version", "hosts"}
    for name, definition in schema["$defs"].items():
        assert definition["additionalProperties"] is False, name
        assert definition["type"] == "object"


def test_the_schema_accepts_what_the_model_accepts() -> None:
    """Enough of JSON Schema to check our own: references, types, patterns, enumerations, ranges."""
    schema = EtcdCluster.model_json_schema()
    sample = json.loads(spec().model_dump_json(exclude_none=True))
    assert _errors(schema, sample, schema) == []
    assert _errors(schema, {**sample, "nmae": 1}, schema) == ["nmae is unknown"]
    assert _errors(schema, {**sample, "version": "new"}, schema) == ["'new' does not match"]


def _errors(schema: dict[str, Any], value: Any, root: dict[str, Any]) -> list[str]:
    if "$ref" in schema:
        return _errors(root["$defs"][schema["$ref"].rsplit("/", 1)[-1]], value, root)
    if "anyOf" in schema:
        tried = [_errors(one, value, root) for one in schema["anyOf"]]
        return [] if [] in tried else tried[0]
    if "const" in schema or "enum" in schema:
        fits = value in schema.get("enum", [schema.get("const")])
        return [] if fits else [f"{value!r} is none of them"]
    if schema.get("type") == "array":
        return [e for item in value for e in _errors(schema["items"], item, root)]
    if schema.get("type") == "object":
        return _object_errors(schema, value, root)
    kinds = {"string": str, "integer": int, "boolean": bool, "null": type(None)}
    if "type" in schema and not isinstance(value, kinds[schema["type"]]):
        return [f"{value!r} is no {schema['type']}"]
    if "pattern" in schema and not re.search(schema["pattern"], value):
        return [f"{value!r} does not match"]
    return []


def _object_errors(
    schema: dict[str, Any], value: dict[str, Any], root: dict[str, Any]
) -> list[str]:
    fields = schema.get("properties", {})
    found = [f"{key} is missing" for key in schema.get("required", ()) if key not in value]
    for key, inner in value.items():
        if key in fields:
            found += _errors(fields[key], inner, root)
        elif schema.get("additionalProperties") is False:
            found.append(f"{key} is unknown")
    return found


def test_every_pattern_is_told_in_words() -> None:
    """A wrong value is answered with words; a pattern means nothing to a user."""
    text = json.dumps(EtcdCluster.model_json_schema())
    patterns = {
        json.loads(f'"{one}"') for one in re.findall(r'"pattern": "((?:[^"\\]|\\.)*)"', text)
    }
    assert patterns
    assert patterns <= PATTERN_WORDS.keys()


@pytest.mark.parametrize(
    ("directories", "said"),
    [
        ({"data": "/srv/a", "config": "/srv/a"}, "lies in /srv/a"),
        ({"data": "/srv/a", "bin": "/srv/a/bin"}, r"/srv/a/bin \(bin\) lies in /srv/a \(data\)"),
        (
            {"data": "/srv/a/wal", "wal": "/srv/a"},
            r"/srv/a/wal \(data\) lies in /srv/a/wal \(wal\)",
        ),
        ({"wal": "/etc/etcd/demo/wal"}, r"lies in /etc/etcd/demo \(config\)"),
        ({"data": "/opt/etcd/data"}, r"lies in /opt/etcd \(bin\)"),
        ({"data": "//var//lib/"}, "must be a directory of its own"),
        ({"data": "/tmp/etcd"}, "outlives a reboot"),
        ({"config": "/etc/systemd"}, "must be a directory of its own"),
    ],
)
def test_directories_that_cannot_be(directories: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        spec(directories=directories)


def test_directories_that_can_be() -> None:
    assert (
        spec(directories={"data": "/srv/etcd", "wal": "/srv/etcd/log"}).wal_dir
        == "/srv/etcd/log/wal"
    )
    assert spec(directories={"data": "/var/lib/x//y/"}).data_dir == "/var/lib/x/y"


def test_what_an_earlier_version_recorded_is_read_by_its_rules_about_paths() -> None:
    old = {
        **spec().model_dump(),
        "directories": {"data": "/var/lib/etcd", "config": "/var/lib/etcd/config", "bin": "/tmp/x"},
        "ssh": {"key_file": "~/.ssh/id", "known_hosts": "kh"},
    }
    with pytest.raises(ValidationError):
        EtcdCluster.model_validate(old)
    cluster = recorded_cluster(json.dumps(old))
    assert (cluster.data_dir, cluster.ssh.known_hosts) == ("/var/lib/etcd", "kh")
    assert cluster.at_version("3.5.17").directories == cluster.directories


@pytest.mark.parametrize("path", ["/a b", "/srv/../etc", "relative/x", "/srv/$(reboot)"])
def test_what_could_break_a_script_is_refused_in_a_recorded_spec_as_well(path: str) -> None:
    with pytest.raises(ValidationError):
        recorded_cluster(json.dumps({**spec().model_dump(), "directories": {"data": path}}))


@pytest.mark.parametrize("wal", ["/", "/etc", "/usr", "/srv", "/proc", "/tmp", "//var"])
def test_the_log_may_lie_at_top_level_but_not_in_the_systems_place(wal: str) -> None:
    assert spec(directories={"wal": "/etcd-wal"}).wal_dir == "/etcd-wal/wal"
    with pytest.raises(ValidationError):
        spec(directories={"wal": wal})
