"""An etcd that Quoracy did not make is seen, named and left alone; its own other clusters may stand beside."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest

from lab.lab import Lab
from quoracy.errors import Refused
from tests.scenarios.conftest import MakeSite
from tests.scenarios.plan_reading import advice
from tests.scenarios.scenario_site import NEW, Site

pytestmark = pytest.mark.lab

QUICK = {"heartbeat_interval_ms": 50, "election_timeout_ms": 500}
UNIT = """[Unit]
Description=somebody's etcd
[Service]
Type=notify
Environment=ETCD_NAME={name}
ExecStart=/usr/local/bin/etcd --data-dir /var/lib/etcd/default {flags}
[Install]
WantedBy=multi-user.target
"""
TLS = "--auto-tls --peer-auto-tls"
CLIENT, PEER = 21379, 21380  # etcd's own are those of the cluster that all scenarios share
LEFT = "name other hosts in the spec; taking over an etcd that is there already is not built yet"


class Foreign:
    """Another tool's cluster of three on the lab's first hosts."""

    def __init__(self, lab: Lab, hosts: tuple[str, ...], scheme: str) -> None:
        self.lab, self.hosts, self.scheme = lab, hosts, scheme
        archive = next(lab.archives.glob(f"etcd-v{NEW}-*.tar.gz"))
        with tarfile.open(archive) as release:
            binaries = {
                name: release.extractfile(f"{archive.name.removesuffix('.tar.gz')}/{name}").read()  # type: ignore[union-attr]
                for name in ("etcd", "etcdctl")
            }
        peers = ",".join(f"{h}={scheme}://{lab.host(h).address}:{PEER}" for h in hosts)
        for host in hosts:
            for name, binary in binaries.items():
                path = lab.host(host).root / "usr/local/bin" / name
                path.write_bytes(binary)
                path.chmod(0o755)
            address = lab.host(host).address
            flags = (
                f"--listen-client-urls={scheme}://{address}:{CLIENT},{scheme}://127.0.0.1:{CLIENT} "
                f"--advertise-client-urls={scheme}://{address}:{CLIENT} "
                f"--listen-peer-urls {scheme}://{address}:{PEER} "
                f"--initial-advertise-peer-urls={scheme}://{address}:{PEER} --initial-cluster={peers} "
            ) + (TLS if scheme == "https" else "")
            unit = lab.host(host).root / "etc/systemd/system/etcd.service"
            unit.write_text(UNIT.format(name=host, flags=flags))

    def start(self) -> None:
        for host in self.hosts:
            self.shell(
                host,
                "systemctl daemon-reload; systemctl enable -q etcd; systemctl start --no-block etcd",
            )
        for host in self.hosts:
            self.shell(
                host,
                "for i in $(seq 300); do systemctl is-active -q etcd && exit; sleep 0.1; done; exit 1",
            )

    def shell(self, host: str, script: str) -> str:
        return self.lab.shell(host, script).decode()

    def etcdctl(self, *words: str) -> str:
        made = "/var/lib/etcd/default/fixtures/client/cert.pem"
        secure = f"--cacert={made}" if self.scheme == "https" else ""
        call = f"/usr/local/bin/etcdctl --endpoints={self.scheme}://127.0.0.1:{CLIENT} {secure}"
        return self.shell(self.hosts[0], f"{call} {' '.join(words)}")

    @property
    def cluster_id(self) -> str:
        (told,) = json.loads(self.etcdctl("endpoint status -w json"))
        return f"{told['Status']['header']['cluster_id']:x}"

    def raze(self) -> None:
        for host in self.hosts:
            self.shell(
                host,
                "systemctl disable -q --now etcd 2>/dev/null; rm -rf /etc/systemd/system/etcd.service "
                "/var/lib/etcd/default /var/lib/etcd/member /usr/local/bin/etcd*; systemctl daemon-reload",
            )


@pytest.fixture(params=["http", "https"])
def foreign(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Foreign]:
    cluster = Foreign(lab, tuple(host.name for host in lab.hosts[:3]), request.param)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.raze()


@pytest.fixture
def wanted(make_site: MakeSite) -> Site:
    return make_site("beside", ports={"client": 8979, "peer": 8980}, etcd=QUICK)


def refusals(site: Site) -> dict[str, str]:
    """What is said of each host."""
    found = [v for v in site.plan().verdicts if v.stops and v.reason == "ForeignEtcd"]
    return {verdict.where: verdict.message for verdict in found}


def require_untouched(site: Site) -> None:
    places = (
        site.cluster.config_dir,
        site.cluster.data_dir,
        f"/var/lib/quoracy/{site.name}",
    )
    left = site.everywhere(f"ls -d {' '.join(places)} 2>/dev/null || true")
    assert left == dict.fromkeys(site.hosts, "")


@pytest.mark.parametrize(
    "ports", [{"client": CLIENT, "peer": PEER}, {"client": 8979, "peer": 8980}]
)
def test_a_healthy_cluster_of_another_tool_is_named_and_left_alone(
    foreign: Foreign, wanted: Site, ports: dict[str, int]
) -> None:
    wanted.apply(ports=ports)
    foreign.etcdctl("put kept yes")
    said = refusals(wanted)
    assert set(said) == set(wanted.hosts)
    for host, message in said.items():
        pid = foreign.shell(host, "systemctl show -P MainPID etcd").strip()
        assert f"process {pid} (etcd.service)" in message
        assert "data in /var/lib/etcd/default" in message
        assert f"cluster {foreign.cluster_id}" in message
        assert f"{foreign.scheme}://127.0.0.1:{CLIENT}" in message
    ways: tuple[dict[str, Any], ...] = ({}, {"action": "create"}, {"option": "force_create"})
    for words in ways:
        with pytest.raises(Refused) as refusal:
            wanted.deploy(**words)
        assert LEFT in refusal.value.next_step
        assert not {"stop", "move", "delete", "remove"} & set(refusal.value.next_step.split())
    require_untouched(wanted)
    assert foreign.etcdctl("get kept").split() == ["kept", "yes"]


def test_one_that_is_stopped_and_would_start_again_is_named_as_well(
    foreign: Foreign, wanted: Site
) -> None:
    cluster_id = foreign.cluster_id
    host = wanted.hosts[1]
    foreign.shell(host, "systemctl stop etcd")
    said = refusals(wanted)[host]
    assert "unit etcd.service (inactive, enabled)" in said
    assert f"a data directory, data in /var/lib/etcd/default, cluster {cluster_id}" in said


@pytest.mark.parametrize(
    "directory", ["/var/lib/etcd", "/var/lib/etcd/beside/old", "/var/lib/etcd/other"]
)
def test_data_above_below_and_beside_is_named(wanted: Site, directory: str) -> None:
    host = wanted.hosts[2]
    wanted.shell(host, f"mkdir -p {directory}/member/snap && touch {directory}/member/snap/db")
    try:
        assert f"a data directory, data in {directory}" in refusals(wanted)[host]
    finally:
        wanted.shell(host, f"rm -r {directory}/member; rmdir -p {directory} 2>/dev/null || true")


def test_a_static_pod_is_named(wanted: Site) -> None:
    host = wanted.hosts[0]
    pod = "spec:\n  containers:\n  - command:\n    - etcd\n    - --name=a\n    image: registry.k8s.io/etcd:3.5.16-0\n"
    wanted.shell(
        host,
        f"mkdir -p /etc/kubernetes/manifests && printf '{pod}' > /etc/kubernetes/manifests/etcd.yaml && "
        "echo '    - --etcd-servers=https://127.0.0.1:2379' > /etc/kubernetes/manifests/kube-apiserver.yaml",
    )
    try:
        assert refusals(wanted) == {
            host: "an etcd that Quoracy did not make is there: static pod /etc/kubernetes/manifests/etcd.yaml"
        }
    finally:
        wanted.shell(host, "rm -r /etc/kubernetes")


def test_clusters_of_quoracy_may_stand_beside_each_other_but_share_no_directory(
    wanted: Site, make_site: MakeSite
) -> None:
    wanted.apply(version=NEW, ports={"client": 8979, "peer": 8980})
    second = make_site("second", ports={"client": 9079, "peer": 9080}, etcd=QUICK)
    second.apply(version=NEW)
    assert wanted.deploy().outcome == "done"
    assert refusals(second) == {}
    second.apply(directories={"data": f"{wanted.cluster.data_dir}/inside"})
    plan = second.plan()
    assert {v.reason for v in plan.verdicts if v.stops} == {"PlacesTaken"}
    assert "choose other directories" in advice(plan)
    second.apply(directories=None)
    assert second.deploy().outcome == "done"
    for site in (wanted, second):
        site.require_healthy()
        assert site.plan().kind == "nothing"


def test_a_port_that_is_held_is_named_with_its_holder(wanted: Site) -> None:
    wanted.apply(ports={"client": 22, "peer": 8980})
    held = [v for v in wanted.plan().verdicts if v.reason == "PortTaken"]
    assert len(held) == 3
    assert all("port 22 is in use by process " in v.message and "ssh" in v.message for v in held)
