"""What hosts are given, as whole files; and the pre-start check, run by a real shell.

Golden files: QUORACY_UPDATE_GOLDEN=1 writes them anew; look at the difference before it is recorded.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from quoracy.etcd.spec import EtcdCluster
from quoracy.etcd.templates import bootstrap_config, render_generation
from tests.etcd_factories import CLUSTER_ID, TOKEN, spec
from tests.setpriv_stub import put_setpriv

GOLDEN = Path(__file__).parent / "golden"
TUNED = {
    "nice": -5,
    "io_class": "best-effort",
    "io_priority": 0,
    "memory_max": "8G",
    "cpu_quota": "200%",
}


@pytest.mark.parametrize("version", ["3.4.23", "3.5.30", "3.6.14"])
def test_golden(version: str) -> None:
    cluster = spec(version=version)
    for name, content in render_generation(cluster, cluster.hosts[0]).files.items():
        path = GOLDEN / version / name
        if os.environ.get("QUORACY_UPDATE_GOLDEN"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        assert content == path.read_text(), f"{path} differs"


def test_identity_follows_the_content() -> None:
    cluster = spec()
    one = render_generation(cluster, cluster.hosts[0])
    assert one.identity == render_generation(spec(), spec().hosts[0]).identity
    others = [
        render_generation(cluster, cluster.hosts[1]),
        render_generation(spec(version="3.5.30"), cluster.hosts[0]),
        replace(one, pre_start=one.pre_start + "\n"),
    ]
    assert len({one.identity, *(other.identity for other in others)}) == 4


def test_settings_of_the_spec() -> None:
    cluster = spec(
        etcd={
            "auto_compaction_mode": "periodic",
            "auto_compaction_retention": "8h",
            "snapshot_count": 5000,
            "corruption_check": False,
            "extra": {"max-wals": 7, "cors": "a'<b>&\"c"},
        },
        directories={"wal": "/wal/etcd/demo"},
    )
    config = yaml.safe_load(render_generation(cluster, cluster.hosts[0]).config)
    assert config["auto-compaction-retention"] == "8h"
    assert config["snapshot-count"] == 5000
    assert config["max-wals"] == 7
    assert config["cors"] == "a'<b>&\"c"
    assert config["wal-dir"] == "/wal/etcd/demo/wal"
    assert "experimental-initial-corrupt-check" not in config


@pytest.mark.parametrize(
    ("version", "key"),
    [
        ("3.4.23", "experimental-initial-corrupt-check"),
        ("3.5.30", "experimental-initial-corrupt-check"),
        ("3.6.14", "feature-gates"),
        ("3.7.1", "feature-gates"),
    ],
)
def test_the_corruption_check_is_named_as_the_version_knows_it(version: str, key: str) -> None:
    cluster = spec(version=version)
    config = yaml.safe_load(render_generation(cluster, cluster.hosts[0]).config)
    found = {"experimental-initial-corrupt-check", "feature-gates"} & config.keys()
    assert found == {key}


def test_ipv6_addresses_are_bracketed() -> None:
    hosts = [{"name": "demo-1", "address": "2001:db8::1", "peer_address": "2001:db8::2"}]
    cluster = EtcdCluster.model_validate({**spec(1).model_dump(), "hosts": hosts})
    config = yaml.safe_load(render_generation(cluster, cluster.hosts[0]).config)
    assert config["advertise-client-urls"] == "https://[2001:db8::1]:2379"
    assert config["listen-peer-urls"] == "https://[2001:db8::2]:2380"
    assert "demo-1=https://[2001:db8::2]:2380" in bootstrap_config(cluster, "t")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
@pytest.mark.parametrize("tuned", [False, True])
def test_systemd_understands_the_unit(tmp_path: Path, tuned: bool) -> None:
    cluster = spec(systemd=TUNED if tuned else {})
    unit = render_generation(cluster, cluster.hosts[0]).unit
    # What is to be run need not exist on this machine, and its user neither.
    text = "\n".join(
        "ExecStart=/bin/true --config-file=x" if line.startswith("ExecStart=") else line
        for line in unit.splitlines()
        if not line.startswith(("User=", "Group="))
    )
    path = tmp_path / cluster.unit
    path.write_text(text + "\n")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if cluster.unit in line]
    assert said == []
    if tuned:
        for line in ("Nice=-5", "IOSchedulingPriority=0", "MemoryMax=8G", "CPUQuota=200%"):
            assert line in unit.splitlines()


class Tree:
    """A host's files below a directory of the test."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cluster = spec()
        self.generation = render_generation(self.cluster, self.cluster.hosts[0])
        self.config = root / "etc/etcd/demo"
        self.data = root / "var/lib/etcd/demo"
        self.record = root / "run/quoracy-etcd-demo"
        self.run = root / "run/etcd-demo"
        self.put("etc/etcd/demo/current/etcd.yaml", self.generation.config)
        self.put("etc/etcd/demo/tls/ca.pem", "CA\n")
        self.put("etc/systemd/system/etcd-demo.service", self.generation.unit)
        self.run.mkdir(parents=True)
        # There is no user etcd on the machine of the tests; what is done as etcd is noted.
        put_setpriv(root / "bin", root / "as")

    def put(self, path: str, content: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)

    def finished(self, data_id: str = CLUSTER_ID) -> None:
        self.put("etc/etcd/demo/cluster-id", f"{CLUSTER_ID}\n")
        self.put("var/lib/etcd/demo/member/quoracy-cluster-id", f"{data_id}\n")

    def log(self) -> None:
        self.put("var/lib/etcd/demo/member/wal/0000000000000000-0000000000000000.wal", "x")

    def start(self) -> subprocess.CompletedProcess[str]:
        text = self.generation.pre_start
        for directory in (
            "/etc/etcd/demo",
            "/var/lib/etcd/demo",
            "/run/etcd-demo",
            "/run/quoracy-etcd-demo",
            "/etc/systemd",
        ):
            text = text.replace(directory, f"{self.root}{directory}")
        return subprocess.run(
            ["sh", "-s"],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": f"{self.root}/bin:{os.environ['PATH']}", "INVOCATION_ID": "ab12"},
        )


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_pre_start_lets_a_finished_member_start_and_records_with_what(tree: Tree) -> None:
    tree.finished()
    tree.log()
    done = tree.start()
    assert (done.returncode, done.stderr) == (0, "")
    wanted = tree.generation.config + 'initial-cluster-state: "existing"\n'
    assert (tree.record / "etcd.yaml").read_text() == wanted
    assert (tree.record / "unit").read_text() == tree.generation.unit
    assert (tree.record / "ca.sha256").read_text().strip() == hashlib.sha256(b"CA\n").hexdigest()
    assert (tree.record / "invocation").read_text() == "ab12\n"
    assert {p.stat().st_mode & 0o777 for p in tree.record.iterdir()} == {0o644}
    assert (tree.run / "etcd.yaml").readlink() == tree.record / "etcd.yaml"


def test_what_lies_in_a_directory_of_etcds_is_neither_read_nor_written_by_root(
    tree: Tree, tmp_path: Path
) -> None:
    """Links that wait there for root were written through, and read into the journal."""
    secret = tmp_path / "secret"
    secret.write_text("no secret, no cluster ID\n")
    for name in ("etcd.yaml", "unit", "ca.sha256"):
        (tree.run / name).symlink_to(secret)
    tree.finished()
    tree.log()
    assert tree.start().returncode == 0
    assert secret.read_text() == "no secret, no cluster ID\n"
    assert not (tree.run / "unit").is_file() or (tree.run / "unit").is_symlink()
    marker = tree.data / "member/quoracy-cluster-id"
    marker.unlink()
    marker.symlink_to(secret)
    done = tree.start()
    assert done.returncode == 1
    assert "no secret" not in done.stderr
    assert f"{tree.data} belongs to cluster unknown, not to {CLUSTER_ID}" in done.stderr
    touched = (tmp_path / "as").read_text().splitlines()
    assert f"head -c 64 {marker}" in touched
    assert f"ln -s -f -n {tree.record}/etcd.yaml {tree.run}/etcd.yaml" in touched


def test_a_record_is_of_one_start(tree: Tree) -> None:
    tree.finished()
    tree.log()
    for left in (tree.record, tree.root / "run/quoracy-etcd-demo.new"):
        left.mkdir()
        (left / "unit").write_text("of an earlier start")
        (left / "more").write_text("")
    assert tree.start().returncode == 0
    assert (tree.record / "unit").read_text() == tree.generation.unit
    assert not (tree.record / "more").exists()
    assert not (tree.root / "run/quoracy-etcd-demo.new").exists()


@pytest.mark.parametrize("wiped", ["wal", "member", "everything"])
def test_pre_start_refuses_a_voter_that_has_forgotten_its_log(tree: Tree, wiped: str) -> None:
    tree.finished()
    tree.log()
    which = {
        "wal": tree.data / "member/wal",
        "member": tree.data / "member",
        "everything": tree.data,
    }
    shutil.rmtree(which[wiped])
    done = tree.start()
    assert done.returncode == 1
    assert "refusing to start member demo-1: there is no log in" in done.stderr


def test_in_an_unfinished_create_who_has_served_once_must_not_come_back_without_its_log(
    tree: Tree,
) -> None:
    tree.put("etc/etcd/demo/bootstrap.yaml", "initial-cluster-state: new\n")
    assert tree.start().returncode == 0, "the first start has no log"
    tree.put("etc/etcd/demo/formed", "")
    done = tree.start()
    assert done.returncode == 1
    assert "the create is not finished and the log in" in done.stderr
    tree.log()
    assert tree.start().returncode == 0


@pytest.mark.parametrize("other", ["feedfeedfeedfeed", ""])
def test_pre_start_refuses_foreign_data(tree: Tree, other: str) -> None:
    tree.finished(data_id=other)
    tree.log()
    done = tree.start()
    assert done.returncode == 1
    assert f"not to {CLUSTER_ID}" in done.stderr


def test_pre_start_refuses_data_that_was_never_marked(tree: Tree) -> None:
    tree.finished()
    tree.log()
    (tree.data / "member/quoracy-cluster-id").unlink()
    assert "belongs to cluster none" in tree.start().stderr


def test_pre_start_refuses_when_nothing_says_which_cluster_it_is(tree: Tree) -> None:
    tree.log()
    assert tree.start().returncode != 0


@pytest.mark.parametrize("with_log", [False, True])
def test_pre_start_accepts_the_bootstrap_and_a_start_repeated_in_it(
    tree: Tree, with_log: bool
) -> None:
    tree.put("etc/etcd/demo/bootstrap.yaml", bootstrap_config(tree.cluster, TOKEN))
    if with_log:
        tree.log()
    assert tree.start().returncode == 0
    assert tree.start().returncode == 0
    config = yaml.safe_load((tree.record / "etcd.yaml").read_text())
    assert config["initial-cluster-state"] == "new"
    assert config["initial-cluster-token"] == TOKEN
    assert config["initial-cluster"].startswith("demo-1=https://198.51.100.2:2380,demo-2=")
