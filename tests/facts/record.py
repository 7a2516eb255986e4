"""Record anew what real etcd says in each situation: `python tests/facts/record.py` (root; ten minutes).

Needed after every change of the questions. Boots a lab named facts of three hosts, makes each situation
of recorded/README.md on it with each version, and writes what the hosts answer. Nothing is made up.
"""

from __future__ import annotations

import json
import shutil
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent)]

from scenarios.scenario_site import Site  # noqa: E402  found by the line above

from quoracy.effects.gather import gather_etcd  # noqa: E402
from quoracy.errors import QuoracyError  # noqa: E402
from quoracy.facts.etcd import etcd_questions  # noqa: E402
from quoracy.facts.question import ask_all  # noqa: E402
from quoracy.lab.lab import Lab  # noqa: E402
from quoracy.remote.pool import HostPool  # noqa: E402
from quoracy.spec.etcd import ssh_targets  # noqa: E402

RECORDED = Path(__file__).with_name("recorded")
ALL = ("3.4.23", "3.5.16", "3.5.30")
FULL = ("3.4.23", "3.5.30")
NEWEST = "3.5.30"
SETTLE_S = 4.0
"""Until members have noticed that their leader is gone and, where they are enough, elected another."""
QUOTA = 8 * 1024**2
FOREIGN = "/etc/systemd/system/etcd.service"
FOREIGN_UNIT = """[Unit]
Description=somebody's etcd
[Service]
Type=notify
Environment=ETCD_NAME=theirs
ExecStart=/usr/local/bin/etcd --data-dir /var/lib/etcd/default
[Install]
WantedBy=multi-user.target
"""
FILLED = "for i in $(seq 40); do head -c 700000 /dev/urandom | base64 -w0 | {} put big/$i >/dev/null || break; done; true"


def main() -> None:
    """Record everything."""
    lab = Lab.up("facts", 3)
    try:
        _write_hosts(lab)
        for version in ALL:
            with _site(lab, version) as site:
                _record_version(site, version)
    finally:
        lab.down()


def _write_hosts(lab: Lab) -> None:
    hosts = [{"name": host.name, "address": str(host.address)} for host in lab.hosts]
    (RECORDED / "hosts.json").write_text(json.dumps(hosts) + "\n")


@contextmanager
def _site(lab: Lab, version: str) -> Iterator[Site]:
    with tempfile.TemporaryDirectory() as place:
        names = tuple(host.name for host in lab.hosts)
        settings = {"etcd": {"quota_backend_bytes": QUOTA}}
        site = Site(lab, Path(place), "facts", names, settings=settings)
        site.apply(version=version)
        try:
            yield site
        finally:
            site.raze()
            site.everywhere("rm -rf /opt/etcd")


def _record_version(site: Site, version: str) -> None:
    one, two, three = site.hosts
    unit, lab = site.cluster.unit, site.lab
    _record(site, version, "absent")
    if version == NEWEST:
        _foreign(site, version)
    site.deploy()
    _record(site, version, "healthy")
    _record(site, version, "one-stopped", lambda: site.stop(three))
    _record(site, version, "no-quorum", lambda: site.stop(two))
    site.deploy()
    if version not in FULL:
        return
    pid = f"$(systemctl show -P MainPID {unit})"
    _record(site, version, "one-paused", lambda: site.shell(two, f"kill -STOP {pid}"))
    site.shell(two, f"kill -CONT {pid}")
    _record(site, version, "one-cut-off", lambda: lab.cut(three, one, two))
    lab.heal(three)
    _record(site, version, "one-powered-off", lambda: lab.power_off(two))
    lab.power_on(two)
    lab.wait_for_ssh(two)
    _wait(site)
    _learner(site, version)
    _wait(site, healthy=2)
    call = _etcdctl(site)
    _record(site, version, "nospace", lambda: site.shell(one, FILLED.format(call)))


def _foreign(site: Site, version: str) -> None:
    """Before the create: an etcd of somebody else on the first host, files of an app on the second."""
    one, two, _ = site.hosts
    archive = next(site.lab.archives.glob(f"etcd-v{version}-*.tar.gz"))
    with tarfile.open(archive) as release:
        binary = release.extractfile(f"{archive.name.removesuffix('.tar.gz')}/etcd")
        path = site.lab.host(one).root / "usr/local/bin/etcd"
        path.write_bytes(binary.read() if binary else b"")
        path.chmod(0o755)

    def make() -> None:
        site.shell(
            one, f"cat > {FOREIGN} <<'END'\n{FOREIGN_UNIT}END\nsystemctl enable -q --now etcd"
        )
        site.shell(
            two, f"mkdir -p {site.cluster.data_dir}/uploads; touch {site.cluster.data_dir}/app.db"
        )

    _record(site, version, "foreign", make)
    site.shell(
        one, f"systemctl disable -q --now etcd; rm -rf {FOREIGN} /var/lib/etcd /usr/local/bin/etcd"
    )
    site.shell(two, f"rm -rf {site.cluster.data_dir}; systemctl daemon-reload")


def _learner(site: Site, version: str) -> None:
    one, _, three = site.hosts
    cluster, call = site.cluster, _etcdctl(site)
    address = site.lab.host(three).address
    members = site.etcdctl(one, "member", "list")["members"]
    (old,) = (f"{member['ID']:x}" for member in members if member["name"] == three)
    site.stop(three)
    site.shell(one, f"{call} member remove {old}; sleep 6")
    added = f"{call} member add {three} --learner --peer-urls=https://{address}:2380"
    peers = site.shell(one, f"{added} | sed -n 's/^ETCD_INITIAL_CLUSTER=//p'").strip().strip('"')
    config, data = cluster.config_dir, cluster.data_dir
    site.shell(three, f"rm -rf {data}/member {config}/cluster-id")
    _record(site, version, "learner-unstarted")
    keys = f'initial-cluster: "{peers}"\ninitial-cluster-state: "existing"\n'
    site.shell(
        three,
        f"cat > {config}/bootstrap.yaml <<'END'\n{keys}END\nsystemctl start {cluster.unit}; sleep 3",
    )
    _record(site, version, "learner")


def _etcdctl(site: Site) -> str:
    config = site.cluster.config_dir
    return (
        f"{config}/current/release/etcdctl --endpoints=https://127.0.0.1:2379 --cacert={config}/tls/ca.pem "
        f"--cert={config}/tls/client.pem --key={config}/tls/client.key"
    )


def _wait(site: Site, healthy: int = 3) -> None:
    """Until so many members serve."""
    for _ in range(60):
        with _pool(site) as pool:
            if len(gather_etcd(site.cluster, pool).healthy) >= healthy:
                return
    raise SystemExit("the members do not become healthy")


def _pool(site: Site) -> HostPool:
    return HostPool(ssh_targets(site.cluster, default_known_hosts=str(site.home.known_hosts)))


def _record(
    site: Site, version: str, situation: str, make: Callable[[], object] = lambda: None
) -> None:
    make()
    time.sleep(SETTLE_S)
    directory = RECORDED / version / situation
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    (directory / "asked_at").write_text(f"{datetime.now(UTC).isoformat()}\n")
    script = ask_all(etcd_questions(site.cluster))
    with _pool(site) as pool:
        for name in site.hosts:
            try:
                told = pool[name].run(script, what="look at the host", timeout=30.0).stdout
                (directory / f"{name}.txt").write_bytes(told)
            except QuoracyError as error:
                (directory / f"{name}.silent").write_text(f"{error.what}\n")
    print(version, situation, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
