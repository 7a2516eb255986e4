"""Create three members over TLS, deploy again, change settings: judged by what the hosts show."""

from __future__ import annotations

import base64
import http.client
import re
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from quoracy.pki.authority import Authority
from tests.judges.gateway import ClientFiles, Gateway
from tests.scenarios.scenario_site import OLD, Site
from tests.scenarios.shared_change import AgainScenario

pytestmark = pytest.mark.lab


def test_members_run_the_wanted_release_and_are_healthy(site: Site) -> None:
    site.require_healthy()
    assert site.versions() == dict.fromkeys(site.hosts, OLD)
    # Three members tell one cluster, and it is the one that the database has pinned.
    told = {
        e["Status"]["header"]["cluster_id"]
        for e in site.etcdctl(site.hosts[0], "endpoint", "status")
    }
    assert {f"{one:x}" for one in told} == {site.pinned_id()}


def test_members_start_again_by_themselves_after_a_power_cut(site: Site) -> None:
    assert set(site.everywhere("systemctl is-enabled etcd-scene").values()) == {"enabled\n"}


@pytest.mark.parametrize("port", [2379, 2380])
def test_plain_http_is_refused(site: Site, port: int) -> None:
    connection = http.client.HTTPConnection(site.lab.hosts[0].address, port, timeout=5)
    try:
        connection.request("GET", "/health")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException):
        status = 0
    finally:
        connection.close()
    assert status in (0, 400)


def ask(endpoint: str, context: ssl.SSLContext) -> int:
    url = urlsplit(endpoint)
    assert url.hostname is not None
    connection = http.client.HTTPSConnection(url.hostname, url.port, context=context, timeout=5)
    try:
        connection.request("GET", "/version")
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("port", [2379, 2380])
def test_a_client_without_certificate_is_refused(site: Site, port: int) -> None:
    files = site.client()
    for endpoint in site.endpoints:
        with pytest.raises(ssl.SSLError):
            ask(endpoint.replace("2379", str(port)), ssl.create_default_context(cafile=files.ca))
    assert ask(site.endpoints[0], files.context()) == 200


def test_a_client_of_another_authority_is_refused(site: Site, tmp_path: Path, make_site) -> None:
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    leaf = Authority.create("another", now).issue("client", "stranger", [], now)
    (tmp_path / "c.pem").write_bytes(leaf.cert_pem)
    (tmp_path / "c.key").write_bytes(leaf.key_pem)
    stranger = ClientFiles(site.client().ca, str(tmp_path / "c.pem"), str(tmp_path / "c.key"))
    with pytest.raises(ssl.SSLError):
        ask(site.endpoints[0], stranger.context())


def test_the_http_gateway_serves_a_client_with_certificate(site: Site) -> None:
    gateway = Gateway(site.endpoints[1], site.client().context(), timeout_s=5)
    gateway.put("scenario/hello", "world")
    gateway.close()
    other = Gateway(site.endpoints[2], site.client().context(), timeout_s=5)
    assert other.page("scenario/", "scenario0", 10) == {"scenario/hello": "world"}
    other.close()


def test_the_unit_is_hardened(site: Site) -> None:
    wanted = {
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "PrivateTmp": "yes",
        "PrivateDevices": "yes",
        "User": "etcd",
        "OOMScoreAdjust": "-900",
        "LimitNOFILE": "65536",
        "Type": "notify",
        "CapabilityBoundingSet": "",
        "Restart": "on-failure",
    }
    for shown in site.everywhere(f"systemctl show -p {','.join(wanted)} etcd-scene").values():
        found = dict(line.split("=", 1) for line in shown.splitlines())
        assert found == wanted
    for pid in (process.pid for process in site.watch.restarts().values()):
        assert pid > 0
    for status in site.everywhere(
        "p=$(systemctl show -P MainPID etcd-scene); cat /proc/$p/status; readlink /proc/$p/exe"
    ).values():
        assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
        assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
        assert not re.search(r"^Uid:\s+0\s", status, re.MULTILINE)
        assert status.splitlines()[-1] == f"/opt/etcd/{OLD}/etcd"


def test_data_and_keys_are_private(site: Site) -> None:
    tls = "/etc/etcd/scene/tls"
    found = site.everywhere(
        f"stat -c '%a %U:%G %n' /var/lib/etcd/scene {tls} {tls}/*.key /var/lib/quoracy/scene"
    )
    for told in found.values():
        assert told.splitlines() == [
            "700 etcd:etcd /var/lib/etcd/scene",
            f"750 root:etcd {tls}",
            f"600 root:root {tls}/client.key",
            f"640 root:etcd {tls}/peer.key",
            f"640 root:etcd {tls}/server.key",
            "700 root:root /var/lib/quoracy/scene",
        ]


def test_the_key_of_the_authority_stays_on_the_controller(site: Site) -> None:
    directory = site.home.pki / site.name
    assert (directory / "ca.key").stat().st_mode & 0o777 == 0o600
    body = (directory / "ca.key").read_text().splitlines()[1]
    for found in site.everywhere(
        f"grep -rlF {body} /etc /var/lib/etcd /var/lib/quoracy /run /root /tmp 2>/dev/null || true"
    ).values():
        assert found == ""


def test_no_secret_was_in_argv_environment_or_logs(created) -> None:
    site, sampler = created
    keys = [
        site.shell(host, f"cat /etc/etcd/scene/tls/{role}.key").encode()
        for host in site.hosts
        for role in ("peer", "server", "client")
    ]
    keys.append((site.home.pki / site.name / "ca.key").read_bytes())
    # As PEM, and as the transport encodes files: 40 characters of either are enough to know it. Not of
    # the first line, which begins alike in all keys, those of others on this machine among them.
    needles = {key.splitlines()[2][:40] for key in keys}
    needles |= {base64.b64encode(key)[124:164] for key in keys}
    assert len(needles) == 2 * len(keys)
    assert len(sampler.seen) > 100
    assert not [line for line in sampler.seen for needle in needles if needle in line]
    database = b"".join(p.read_bytes() for p in site.home.path.glob("quoracy.db*"))
    assert not [needle for needle in needles if needle in database]
    for journal in site.everywhere("journalctl --no-pager -o cat").values():
        assert not [needle for needle in needles if needle.decode() in journal]


class TestAgain(AgainScenario):
    """Again, on real hosts: each change is seen in the processes."""

    def test_files_were_compared(self, site: Site) -> None:
        assert all(len(files) > 10 for files in site.watch.files().values())

    def test_the_processes_have_the_changed_settings(self, site: Site) -> None:
        for told in site.everywhere(
            'journalctl -u etcd-scene -o cat --no-pager | grep -o \'"heartbeat-interval":"[0-9a-z]*"\' | tail -n 1'
        ).values():
            assert told == '"heartbeat-interval":"120ms"\n'
        for told in site.everywhere(
            "cut -d' ' -f19 /proc/$(systemctl show -P MainPID etcd-scene)/stat"
        ).values():
            assert told == "5\n"

    def test_the_keys_of_the_first_start_are_gone(self, site: Site) -> None:
        config = site.shell(site.hosts[0], "cat /etc/etcd/scene/current/etcd.yaml")
        assert "initial-cluster" not in config
