"""cluster.yaml with mistakes: always a UsageError that says where, never a traceback."""

from __future__ import annotations

import pytest

from quoracy.errors import UsageError
from quoracy.etcd.spec import EtcdCluster
from quoracy.etcd.spec_parse import parse_cluster
from quoracy.specs.document import MAX_BYTES

GOOD = """\
kind: etcd
name: demo
version: 3.5.16
hosts:
  - {name: demo-1, address: 198.51.100.2}
  - {name: demo-2, address: 198.51.100.3}
  - name: demo-3
    address: 198.51.100.4
"""


def refused(text: str) -> str:
    with pytest.raises(UsageError) as raised:
        parse_cluster(text, source="cluster.yaml")
    assert raised.value.where == "cluster.yaml"
    assert raised.value.exit_code == 2
    return raised.value.what


def test_a_good_one() -> None:
    cluster = parse_cluster(GOOD, source="cluster.yaml")
    assert [host.name for host in cluster.hosts] == ["demo-1", "demo-2", "demo-3"]
    assert (cluster.data_dir, cluster.wal_dir) == (
        "/var/lib/etcd/demo",
        "/var/lib/etcd/demo/member/wal",
    )
    assert (cluster.config_dir, cluster.unit) == ("/etc/etcd/demo", "etcd-demo.service")
    assert cluster.release_dir("3.5.16") == "/opt/etcd/3.5.16"
    assert cluster.host("demo-2").peer == "198.51.100.3"
    with pytest.raises(KeyError):
        cluster.host("demo-9")


# What replaces a line of GOOD or is added to it, and what is said.
MISTAKES = [
    ("versoin: 3.5.16\n", "line 9, column 1: versoin: there is no such key; did you mean version?"),
    (
        "ports: {clent: 1}\n",
        "line 9, column 9: ports.clent: there is no such key; did you mean client?",
    ),
    ("ports: {client: many}\n", "line 9, column 9: ports.client: must be a whole number"),
    ("ports: {client: 0}\n", "ports.client: Input should be greater than or equal to 1"),
    ("ports: {client: 65536}\n", "ports.client: Input should be less than or equal to 65535"),
    ("ports: {client: 2380}\n", "ports.client and ports.peer must differ"),
    ("ports: 7\n", "line 9, column 1: ports:"),
    ("etcd: {heartbeat_interval_ms: 300}\n", "must be at least 5 x heartbeat_interval_ms"),
    ("etcd: {auto_compaction_mode: periodic}\n", "go together"),
    ("etcd: {extra: {max-walls: 5}}\n", "etcd 3.5.16 has no key 'max-walls'"),
    ("etcd: {extra: {max-wals: '5'}}\n", "max-wals must be of type int, not '5'"),
    ("etcd: {extra: {max-wals: true}}\n", "max-wals must be of type int, not True"),
    ("etcd: {extra: {data-dir: /x}}\n", "data-dir is set by directories.data"),
    ("etcd: {extra: {corrupt-check-time: 1}}\n", "calls it experimental-corrupt-check-time"),
    ("etcd: {extra: {1: 2}}\n", "line 9"),
    (
        "backup: {directory: /a, s3: {bucket: abc, access_key: 'env:A', secret_key: 'env:B'}}\n",
        "not both",
    ),
    (
        "backup: {s3: {bucket: abc, access_key: AKIA123, secret_key: 'env:B'}}\n",
        "backup.s3.access_key",
    ),
    ("release: {directory: /a, url: 'https://b'}\n", "give either url or directory"),
    ("release: {url: 'ftp://b'}\n", "release.url"),
    ("directories: {data: /var}\n", "at least two levels deep"),
    ("directories: {data: /var/lib/../x}\n", "without '..'"),
    ("directories: {data: var/lib/etcd}\n", "must be an absolute path"),
    ("systemd: {memory_max: '8G\\nExecStart=/bin/x'}\n", "systemd.memory_max"),
    ("systemd: {cpu_quota: 150}\n", "150% is one and a half"),
    ("systemd: {memory_max: 0.0G}\n", "bytes like 8G or 1.5G"),
    ("ssh: {key_file: ~/id}\n", "or begin with ~/"),
    ("tls: {files: {ca: /ca.pem}}\n", "tls.files.certificate: this key is required"),
]


@pytest.mark.parametrize(("added", "said"), MISTAKES, ids=[added.strip() for added, _ in MISTAKES])
def test_a_mistake_is_named_with_its_place(added: str, said: str) -> None:
    what = refused(GOOD + added)
    assert said in what
    assert "line " in what
    assert ", column " in what


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("kind: etcd", "kind: rke2", "line 1, column 1: kind: Input should be 'etcd'"),
        ("kind: etcd\n", "", "kind: this key is required"),
        ("name: demo\n", "name: Demo\n", "line 2, column 1: name: must be lower-case letters"),
        ("3.5.16", "v3.5.16", "line 3, column 1: version"),
        ("3.5.16", "3.5", "line 3, column 1: version: must be a text: put it in quotes"),
        ("3.5.16", "3.5.016", "line 3, column 1: version"),
        ("3.5.16", "3.5.1\u0666", "line 3, column 1: version"),
        ("3.5.16", "3.5.16-rc.0", "line 3, column 1: version"),
        ("demo-2,", "demo-1,", "line 6, column 5: hosts.1: name demo-1 is used more than once"),
        (
            "100.3",
            "100.2",
            "line 6, column 5: hosts.1: address 198.51.100.2 is used more than once",
        ),
        (
            "100.3}",
            "100.3, peer_address: 198.51.100.2}",
            "line 6, column 5: hosts.1: peer address 198.51.100.2 is used",
        ),
        (
            "198.51.100.4",
            "198.51.100.4/24",
            "line 8, column 5: hosts.2.address: must be an IP address",
        ),
        ("198.51.100.4", "'fe80::1%$(reboot)'", "hosts.2.address: must be an IP address"),
        ("198.51.100.4", "a..b", "hosts.2.address: must be an IP address"),
        ("name: demo-3", "name: " + "x" * 58, "hosts.2.name: String should have at most 57"),
        ("name: demo-3", "name: a..b", "hosts.2.name"),
        (
            "    address: 198.51.100.4\n",
            "",
            "line 7, column 5: hosts.2.address: this key is required",
        ),
        ("198.51.100.4", "[1, 2]", "hosts.2.address: must be a text"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(old: str, new: str, said: str) -> None:
    assert old in GOOD
    assert said in refused(GOOD.replace(old, new))


def test_all_mistakes_are_told_at_once() -> None:
    what = refused(GOOD.replace("3.5.16", "new") + "nmae: x\n")
    assert "version: " in what
    assert "nmae: " in what


@pytest.mark.parametrize("count", [0, 8])
def test_number_of_members(count: int) -> None:
    hosts = "".join(f"  - {{name: h{n}, address: 192.0.2.{n}}}\n" for n in range(1, count + 1))
    assert f"hosts: a cluster has 1 to 7 hosts, this one {count}" in refused(
        f"kind: etcd\nname: demo\nversion: 3.5.16\nhosts:{' []' if not count else ''}\n{hosts}"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only a comment\n",
        "---\n",
        "null\n",
        "[]\n",
        "just text\n",
        "7\n",
        "kind: [etcd\n",
        "kind: etcd\n  name: x\n",
        "\tkind: etcd\n",
        "kind: etcd\n---\nkind: etcd\n",
        "a: &x 1\nb: *x\n",
        "a: &unused 1\n",
        "<<: {kind: etcd}\n",
        "kind: !!python/object:os.system etcd\n",
        "kind: !!bool maybe\n",
        "kind: !!int ''\n",
        "kind: !!timestamp x\n",
        "kind: !!binary x\n",
        "kind: 2026-99-99\n",
        "version: " + "9" * 5000 + "\n",
        'kind: "\\U00110000"\n',
        'kind: "\\ud800"\n',
        "? [a, b]\n: c\n",
        "? {a: b}\n: c\n",
        "kind: etcd\0\n",
        "kind: \x07\n",
        "[" * 50000,
        "{a: " * 3000 + "}" * 3000,
        "kind: etcd\nkind: etcd\n",
        GOOD + "hosts: []\n",
        GOOD + "ports: {client: 1, client: 2}\n",
        GOOD + "etcd: {extra: {cors: .inf}}\n",
        GOOD + "etcd: {extra: {cipher-suites: [2020-01-01, {a: b}]}}\n",
        GOOD + "a: " + "x" * MAX_BYTES,
    ],
    ids=lambda text: repr(text[:30]),
)
def test_what_is_no_cluster_at_all(text: str) -> None:
    assert refused(text)


def test_too_large_is_said_without_reading_it() -> None:
    assert "larger than 1048576 bytes" in refused("x" * (MAX_BYTES + 1))


def test_twice_the_same_key_says_where() -> None:
    assert refused(GOOD + "name: other\n") == "line 9, column 1: name is given twice"


def test_ip_addresses_are_canonical() -> None:
    text = GOOD.replace("198.51.100.4", "'2001:DB8:0::0001'")
    assert parse_cluster(text, source="x").hosts[2].address == "2001:db8::1"


def test_what_was_recorded_is_read_back_alike() -> None:
    cluster = parse_cluster(GOOD, source="x")
    assert EtcdCluster.model_validate_json(cluster.model_dump_json()) == cluster


def test_values_of_the_real_world() -> None:
    text = (
        "systemd: {memory_max: 1.5G}\nssh: {user: svc.deploy, key_file: ~/.ssh/id}\n"
        "backup:\nrelease: {directory: ~/etcd}\n"
    )
    cluster = parse_cluster(GOOD + text, source="x", home="/home/ada")
    assert (cluster.systemd.memory_max, cluster.ssh.user) == ("1.5G", "svc.deploy")
    assert (cluster.ssh.key_file, cluster.release.directory) == (
        "/home/ada/.ssh/id",
        "/home/ada/etcd",
    )
    bare = parse_cluster(f"{GOOD}ssh:\nsystemd: {{memory_max: 8589934592}}\n", source="x")
    assert (bare.ssh.user, bare.systemd.memory_max) == (None, "8589934592")


def test_a_misspelt_key_without_a_value_is_refused_all_the_same() -> None:
    assert "shh: there is no such key; did you mean ssh?" in refused(f"{GOOD}shh:\n")
