"""Bad input of issue 3, what concerns cluster.yaml: a row per word of the issue, through the command.

Each ends with exit code 2 and one message (what, where, next), and changes no row.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from quoracy.errors import UsageError
from quoracy.etcd.spec import EtcdCluster
from quoracy.etcd.spec_parse import parse_cluster
from quoracy.home import Home
from tests.bad_input.bad_controller import Outcome, call, rows, write_spec

GOOD = """\
kind: etcd
name: demo
version: 3.5.33
hosts:
  - {name: demo-1, address: 198.51.100.2}
  - {name: demo-2, address: 198.51.100.3}
  - {name: demo-3, address: 198.51.100.4}
"""
BOMB = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
    f"{one}: &{one} [{', '.join([f'*{before}'] * 8)}]\n"
    for before, one in zip("abcdefghi", "bcdefghij", strict=True)
)


@dataclass(frozen=True, slots=True)
class Bad:
    """A file, and what is said of it."""

    words: str
    text: str | bytes
    says: tuple[str, ...]


def added(words: str, line: str, *says: str) -> Bad:
    return Bad(words, f"{GOOD}{line}\n", says)


def instead(words: str, old: str, new: str, *says: str) -> Bad:
    assert old in GOOD
    return Bad(words, GOOD.replace(old, new), says)


def members(count: int) -> str:
    hosts = "".join(f"  - {{name: d-{n}, address: 192.0.2.{n}}}\n" for n in range(1, count + 1))
    return f"kind: etcd\nname: demo\nversion: 3.5.33\nhosts:{'' if count else ' []'}\n{hosts}"


ROWS = [
    added(
        "unknown key",
        "sytemd: {nice: 1}",
        "demo.yaml: ",
        "line 8, column 1: sytemd: there is no such key; did you mean systemd?",
    ),
    added(
        "unknown key deep inside",
        "backup:\n  s3:\n    buckett: x",
        "line 10, column 5: backup.s3.buckett: there is no such key; did you mean bucket?",
    ),
    instead(
        "unknown key of a host",
        "198.51.100.3}",
        "198.51.100.3, ssh: {usr: x}}",
        "line 6, column 49: hosts.1.ssh.usr: there is no such key; did you mean user?",
    ),
    added("wrong type: number as text", 'ports: {client: "2379"}', "ports.client: must be a whole"),
    added("wrong type: true as number", "ports: {client: true}", "ports.client: must be a whole"),
    added("wrong type: list as mapping", "ssh: [a]", "line 8, column 1: ssh: must be a mapping"),
    instead(
        "wrong type: version as number",
        "3.5.33",
        "3.5",
        "line 3, column 1: version: must be a text: put it in quotes",
    ),
    Bad(
        "wrong type: hosts as text", "kind: etcd\nhosts: x\n", ("line 2, column 1: hosts: must be",)
    ),
    Bad("not YAML", "kind: [etcd\nname: x\n", ("this is not YAML: line 2, column 5",)),
    Bad("not YAML: tabs", "kind: etcd\nssh:\n\tuser: x\n", ("not YAML: line 3, column 1",)),
    Bad("not YAML: binary", bytes(range(256)), ("line 2 is not UTF-8 text",)),
    Bad("not YAML: control character", "kind: \x07\n", ("line 1, column 7: the character U+0007",)),
    Bad("not a cluster", "- just\n- a list\n", ("this is not a cluster",)),
    Bad("empty", "", ("the file is empty",)),
    Bad("empty but for a comment", "# nothing\n", ("the file is empty",)),
    Bad("10 MB", GOOD.encode() + b"# x\n" * 2_500_000, ("larger than 1048576 bytes",)),
    Bad("10 MB of half characters", "é".encode() * 5_000_000, ("larger than 1048576 bytes",)),
    Bad("anchors bomb", BOMB, ("line 1, column 4: anchors and aliases are not allowed",)),
    Bad("nested without end", "[" * 20_000, ("nested too deeply",)),
    Bad(
        "a thousand mistakes",
        GOOD + "".join(f"key{n}: 1\n" for n in range(1000)),
        ("key0: there is no such key", "and 980 more"),
    ),
    instead(
        "duplicate host", "demo-2,", "demo-1,", "line 6, column 5: hosts.1: name demo-1 is used"
    ),
    instead(
        "duplicate address", "100.3", "100.2", "hosts.1: address 198.51.100.2 is used more than"
    ),
    instead(
        "duplicate address: mapped",
        "100.3",
        "100.3, peer_address: '::ffff:198.51.100.2'",
        "hosts.1: peer address 198.51.100.2 is used",
    ),
    Bad(
        "duplicate address: of one host the peer address of another",
        GOOD.replace("100.2}", "100.2, peer_address: 192.0.2.1}").replace(
            "100.3}", "100.3, peer_address: 198.51.100.2}"
        ),
        ("line 6, column 5: hosts.1: address 198.51.100.2 is used more than once",),
    ),
    Bad("duplicate name: key", f"{GOOD}name: other\n", ("line 8, column 1: name is given twice",)),
    added("bad port: 0", "ports: {client: 0}", "line 8, column 9: ports.client", "or equal to 1"),
    added("bad port: 65536", "ports: {peer: 65536}", "line 8, column 9: ports.peer", "65535"),
    added("bad port: both the same", "ports: {client: 2380}", "ports.client and ports.peer must"),
    added("bad port of sshd", "ssh: {port: -1}", "line 8, column 7: ssh.port"),
    instead("bad address: nobody's", "198.51.100.4", "0.0.0.0", "hosts.2.address: must be the"),
    instead("bad address: of many", "198.51.100.4", "224.0.0.1", "hosts.2.address: must be the"),
    added("bad address: gateway", "ssh: {gateway: 300.1.1.1}", "ssh.gateway: is neither an IP"),
    added(
        "port clash between clusters on a host",
        "ports: {client: 2379, peer: 12379}",
        "demo: port 12379 on 198.51.100.2, 198.51.100.3 belongs to cluster neighbour",
        "Next: choose other ports and directories",
    ),
    Bad(
        "port clash between clusters on a host: by peer address",
        "kind: etcd\nname: demo\nversion: 3.5.33\nhosts: [{name: x, address: 192.0.2.3}]\n"
        "ports: {client: 12380, peer: 1}\n",
        ("demo: port 12380 on 192.0.2.3 belongs to cluster neighbour",),
    ),
    added(
        "directory clash between clusters on a host",
        "directories: {data: /var/lib/etcd/neighbour/inner}",
        "directory /var/lib/etcd/neighbour/inner on 198.51.100.2",
        "belongs to cluster neighbour",
    ),
    added(
        "directory of the system", "directories: {data: /var/lib}", "directories.data: must be a"
    ),
    added(
        "directory that a reboot empties", "directories: {wal: /run/etcd/wal}", "outlives a reboot"
    ),
    added(
        "directories that overlap",
        "directories: {data: /srv/etcd, config: /srv/etcd/config}",
        "line 8, column 32: directories.config: /srv/etcd/config (config) lies in /srv/etcd (data)",
    ),
    instead("version is malformed: v", "3.5.33", "v3.5.33", "version: must be three numbers like"),
    instead("version is malformed: latest", "3.5.33", "latest", "version: must be three numbers"),
    instead("version is malformed: path", "3.5.33", "../3.5.33", "version: must be three numbers"),
    Bad("members: none", members(0), ("line 4, column 1: hosts: a cluster has 1 to 7 hosts",)),
    Bad("members: more than 7", members(8), ("hosts: a cluster has 1 to 7 hosts, this one 8",)),
    Bad(
        "members: no key",
        "kind: etcd\nname: d\nversion: 3.5.33\n",
        ("hosts: this key is required",),
    ),
    added(
        "a secret where a reference belongs",
        "backup: {s3: {bucket: abc, access_key: 'env:A', secret_key: wJalrXUtnFEMIK7}}",
        "backup.s3.secret_key: must be a reference",
    ),
    added(
        "credentials in a URL", "release: {url: 'https://ann:hunter2@m'}", "release.url: must be"
    ),
    added(
        "relative path", "release: {directory: archives}", "release.directory: must be an absolute"
    ),
    added(
        "a setting that etcd lacks",
        "etcd: {extra: {max-walls: 5}}",
        "line 8, column 16: etcd.extra.max-walls: etcd 3.5.33 has no key 'max-walls'",
    ),
    added(
        "a setting that etcd cannot read", "etcd: {extra: {max-wals: -1}}", "must be between 0 and"
    ),
    added("limits that systemd would ignore", "systemd: {memory_max: 8 GB}", "memory_max: must be"),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.words)
def test_cluster_apply(row: Bad, home: Home, before: list[str], tmp_path: Path) -> None:
    outcome = call("cluster", "apply", "-f", str(write_spec(tmp_path, row.text)))
    outcome.require_one_message(2, row.says)
    for secret in ("wJalrXUtnFEMIK7", "hunter2"):
        assert secret not in outcome.err
    assert rows(home) == before


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(members(2), "2 members tolerate no more failures than 1", id="even members"),
        pytest.param(members(6), "6 members tolerate no more failures than 5", id="six members"),
        pytest.param(GOOD.replace("3.5.33", "3.5.1"), "known to be bad", id="version is known-bad"),
        pytest.param(GOOD.replace("3.5.33", "3.9.1"), "outside 3.4 to 3.7", id="version unknown"),
        pytest.param(GOOD.replace("3.5.33", "3.4.23"), "no more fixes", id="version without fixes"),
    ],
)
def test_cluster_apply_warns(text: str, says: str, home: Home, tmp_path: Path) -> None:
    outcome = call("cluster", "apply", "-f", str(write_spec(tmp_path, text)))
    assert outcome.exit_code == 0
    assert says in " ".join(outcome.err.split())
    assert outcome.out.startswith("demo: created\n")


@pytest.mark.parametrize("what", ["missing", "a directory", "not readable as a file"])
def test_cluster_apply_of_no_file(what: str, before: list[str], home: Home, tmp_path: Path) -> None:
    file = {"missing": tmp_path / "none.yaml", "a directory": tmp_path}.get(
        what, tmp_path / "x" / "y"
    )
    (tmp_path / "x").write_text("")
    outcome = call("cluster", "apply", "-f", str(file))
    outcome.require_one_message(2, [f"{file}: cannot be read"])
    assert rows(home) == before


def test_a_neighbour_whose_recorded_spec_is_no_longer_valid_is_named(
    home: Home, before: list[str], tmp_path: Path
) -> None:
    with sqlite3.connect(home.path / "quoracy.db") as connection:
        connection.execute("UPDATE clusters SET spec = replace(spec, '\"etcd\"', '\"old\"')")
    connection.close()
    now = rows(home)
    outcome = call("cluster", "apply", "-f", str(write_spec(tmp_path, GOOD)))
    outcome.require_one_message(2, ["neighbour: its recorded spec cannot be read any more (kind"])
    assert rows(home) == now


def test_two_specs_that_cannot_be_read_do_not_hold_up_each_other_or_anybody_else(
    home: Home, before: list[str], tmp_path: Path
) -> None:
    assert before
    file = write_spec(tmp_path, GOOD)
    assert call("cluster", "apply", "-f", str(file)).exit_code == 0
    with sqlite3.connect(home.path / "quoracy.db") as connection:
        connection.execute("UPDATE clusters SET spec = replace(spec, '\"etcd\"', '\"old\"')")
    connection.close()
    elsewhere = GOOD.replace("demo", "far").replace("198.51.100.", "192.0.2.1")
    for text in (elsewhere, GOOD):
        outcome = call("cluster", "apply", "-f", str(write_spec(tmp_path, text)))
        assert (outcome.exit_code, "cannot be read" in outcome.err) == (0, False)


def properties() -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Path and schema of every field of cluster.yaml, read off the published schema."""
    root = EtcdCluster.model_json_schema()

    def walk(node: dict[str, Any], path: tuple[Any, ...]) -> list[Any]:
        found = []
        for choice in (node, *node.get("anyOf", ())):
            if "$ref" in choice:
                found += walk(root["$defs"][choice["$ref"].rsplit("/", 1)[-1]], path)
            if choice.get("type") == "array":
                found += walk(choice["items"], (*path, 0))
            for name, field in choice.get("properties", {}).items():
                found += [((*path, name), field), *walk(field, (*path, name))]
        return found

    return walk(root, ())


FIELDS = properties()
# What must be there for a part to be read at all.
NEEDED: dict[str, Any] = {
    "tls.files": {"ca": "/ca", "certificate": "/c", "key": "/k"},
    "backup.s3": {"bucket": "abc", "access_key": "env:A", "secret_key": "env:B"},
}
BASE: dict[str, Any] = {
    "kind": "etcd",
    "name": "demo",
    "version": "3.5.33",
    "hosts": [{"name": "demo-1", "address": "198.51.100.7"}],
}
HOSTILE = [
    "a;b", "$(touch /tmp/bad-input)", "`reboot`", "a b", "a'b", 'a"b', "a&b", "a|b", "a>b", "a\\b",
    "a\nb", "a\r\nExecStart=/bin/sh", "\t", "../../etc/passwd", "/a/../../etc", "/srv/../etc/x", "é",
    "名前", "\u202egnp", "\u2028", "a\u0000b", "%n", "${HOME}", "{{ 7*7 }}", "-rf", "", " ", "~", "*",
    "x" * 5000, "\uff11.1.1.1", "#", "a: b", "&a", "!!python/name:os.system",
]  # fmt: skip
WRONG: list[Any] = [
    None, True, 7, -1, 1.5, 10**30, float("inf"), "text", [], ["x"], {}, {"a": {"b": []}},
]  # fmt: skip


def filled(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """The smallest spec with one field replaced."""

    def put(node: Any, rest: tuple[Any, ...], at: str) -> Any:
        if not rest:
            return value
        head, inner = rest[0], f"{at}.{rest[0]}".lstrip(".")
        if isinstance(head, int):
            return [put(node[0], rest[1:], at), *node[1:]]
        base = {**NEEDED.get(at, {}), **(node or {})}
        return {**base, head: put(base.get(head), rest[1:], inner)}

    found: dict[str, Any] = put(BASE, path, "")
    return found


def named(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path))


@pytest.mark.parametrize("path", [path for path, _ in FIELDS], ids=named)
def test_every_field_with_hostile_texts_and_wrong_types(
    path: tuple[Any, ...], home: Home, before: list[str], tmp_path: Path
) -> None:
    """Refused with the field's place, or taken as one harmless value; once through the command."""
    refused = []
    for value in [*HOSTILE, *WRONG]:
        spec = filled(path, value)
        try:
            parse_cluster(yaml.safe_dump(spec, allow_unicode=True), source="demo.yaml")
        except UsageError as error:
            Outcome(2, "", f"quoracy: {error}\n").require_one_message(2, ["line ", ", column "])
            refused.append(spec)
        else:
            assert_one_harmless_value(path, value)
    assert refused
    outcome = call("cluster", "apply", "-f", str(write_spec(tmp_path, refused[0])))
    outcome.require_one_message(2, ["line ", ", column "])
    assert rows(home) == before


def assert_one_harmless_value(path: tuple[Any, ...], value: Any) -> None:
    """What passes where a text belongs reads the same on a terminal and keeps to its place."""
    if isinstance(value, str):
        assert value.isprintable(), named(path)
        assert ".." not in value.split("/"), named(path)
        assert len(value) <= 1000, named(path)


@pytest.mark.parametrize("path", [path for path, _ in FIELDS], ids=named)
def test_a_misspelt_key_beside_every_field(
    path: tuple[Any, ...], home: Home, before: list[str], tmp_path: Path
) -> None:
    wrong = (*path[:-1], f"{path[-1]}x")
    outcome = call("cluster", "apply", "-f", str(write_spec(tmp_path, filled(wrong, 1))))
    says = f"{named(wrong)}: there is no such key; did you mean {path[-1]}?"
    outcome.require_one_message(2, ["line ", ", column ", says])
    assert rows(home) == before
