"""Record anew what real members answer, in every situation of recorded/README.md; run as root, no test.

    .venv/bin/python tests/etcd/record_etcd.py

Needed whenever a look asks other questions: all recordings are made anew, in some minutes, on practice
hosts of its own. Whoever commits them looks at the difference first.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from lab.lab import Lab
from quoracy.etcd.deploy import Wanted
from quoracy.etcd.facts import etcd_questions
from quoracy.etcd.templates import peer_url
from quoracy.hosts.question import ask_all
from quoracy.pki.authority import Authority
from tests.judges.gateway import Gateway
from tests.scenarios.scenario_site import Site

RECORDED = Path(__file__).with_name("recorded")
FULL, SOME = ("3.4.23", "3.5.30"), ("3.5.16",)
FOREIGN = "3.5.30"
SETTINGS = {"etcd": {"quota_backend_bytes": 8 * 1024 * 1024}}


class Recorder:
    """One cluster of one version, and what its hosts say.

    Args:
        site: The cluster named facts.
    """

    def __init__(self, site: Site) -> None:
        self.site, self.lab = site, site.lab
        self.one, self.two, self.three = site.hosts

    def deploy(self) -> None:
        assert self.site.deploy().outcome == "done"

    def record(self, situation: str) -> None:
        """Look at all hosts at once and keep what they print."""
        directory = RECORDED / self.site.version / situation
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        (directory / "asked_at").write_text(datetime.now(UTC).isoformat() + "\n")
        question = ask_all(etcd_questions(self.site.cluster))
        up = [name for name in self.site.hosts if self.lab.host(name).state != "off"]
        with ThreadPoolExecutor(len(up)) as pool:
            told = pool.map(lambda name: self.lab.shell(name, question), up)
            for name, answer in zip(up, told, strict=True):
                (directory / f"{name}.txt").write_bytes(answer)
        if len(up) < len(self.site.hosts):
            with self.site.opened(Wanted(self.site.name)) as deploy:
                for name, silent in deploy.gather().silent.items():
                    (directory / f"{name}.silent").write_text(silent.reason + "\n")

    def etcdctl(self, host: str, *words: str) -> str:
        """A call to the host's own member, as etcd's user root."""
        return self.site.shell(host, self.call(*words))

    def call(self, *words: str) -> str:
        """The same as text."""
        config, port = self.site.cluster.config_dir, self.site.cluster.ports.client
        return shlex.join(
            (
                f"{config}/current/release/etcdctl",
                f"--endpoints=https://127.0.0.1:{port}",
                f"--cacert={config}/tls/ca.pem",
                "--cert=/run/root.pem",
                "--key=/run/root.key",
                *words,
            )
        )

    def let_root_in(self) -> None:
        """A client certificate of etcd's user root on the first host."""
        authority = Authority.load(self.site.home.pki / self.site.name)
        leaf = authority.issue("client", "root", [], datetime.now(UTC), timedelta(days=1))
        for name, pem in (("pem", leaf.cert_pem), ("key", leaf.key_pem)):
            self.site.shell(self.one, f"cat > /run/root.{name} <<'END'\n{pem.decode()}END\n")

    def raise_alarm(self, kind: str, member: int = 0) -> None:
        """etcdctl can list and disarm alarms, not raise them."""
        gateway = Gateway(self.site.endpoints[0], self.site.client().context(), 10.0)
        asked = {"action": "ACTIVATE", "memberID": str(member), "alarm": kind}
        gateway.post("/v3/maintenance/alarm", asked)
        gateway.close()

    def fill(self) -> None:
        """Write until the quota is used up."""
        for number in range(40):
            write = f"head -c 500000 /dev/zero | tr '\\0' x | {self.call('put', f'k{number}')}"
            if self.site.shell(self.one, f"{write} 2>/dev/null || echo no").strip() != "OK":
                return
        raise AssertionError("the quota is not used up")

    def until(self, healthy: int) -> None:
        """Wait until so many members serve."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with self.site.opened(Wanted(self.site.name)) as deploy:
                if len(deploy.gather().healthy) == healthy:
                    return
            time.sleep(0.5)
        raise AssertionError(f"not {healthy} members serve")


@contextmanager
def fresh(lab: Lab, version: str) -> Iterator[Recorder]:
    """A cluster that does not exist yet, with a controller of its own."""
    with tempfile.TemporaryDirectory() as place:
        names = tuple(host.name for host in lab.hosts)
        site = Site(lab, Path(place), "facts", names, settings=dict(SETTINGS))
        site.version = version
        site.raze()
        site.apply()
        yield Recorder(site)
        site.raze()
        site.everywhere("rm -rf /opt/etcd")  # the next version's hosts have never seen this one


def plain(recorder: Recorder) -> None:
    """What is recorded of every version."""
    site = recorder.site
    recorder.record("absent")
    recorder.deploy()
    recorder.record("healthy")
    site.stop(recorder.three)
    recorder.record("one-stopped")
    site.stop(recorder.two)
    time.sleep(3)  # until the one that is left has noticed
    recorder.record("no-quorum")
    for host in (recorder.two, recorder.three):
        site.shell(host, f"systemctl start --no-block {site.cluster.unit}")
    recorder.until(3)


def foreign(recorder: Recorder) -> None:
    """Somebody else's etcd on one host, and an app's files where the member would go on another."""
    site, lab = recorder.site, recorder.lab
    archive = next(lab.archives.glob(f"etcd-v{site.version}-*.tar.gz"))
    binary = lab.host(recorder.one).root / "usr/local/bin/etcd"
    with tarfile.open(archive) as release:
        member = release.extractfile(f"{archive.name.removesuffix('.tar.gz')}/etcd")
        assert member is not None
        binary.write_bytes(member.read())
    binary.chmod(0o755)
    run = "systemd-run -q --unit=etcd --service-type=notify"
    site.shell(recorder.one, f"{run} /usr/local/bin/etcd --data-dir /var/lib/etcd/default")
    data = site.cluster.data_dir
    site.shell(recorder.two, f"mkdir -p {data} && touch {data}/app.db")
    recorder.record("foreign")
    site.shell(recorder.one, "systemctl stop etcd; rm -rf /var/lib/etcd /usr/local/bin/etcd")
    site.shell(recorder.two, "rm -rf /var/lib/etcd")


def faults(recorder: Recorder) -> None:
    """A process that does not answer, a network that is cut, a host without power."""
    site, lab = recorder.site, recorder.lab
    pid = f"$(systemctl show -P MainPID {site.cluster.unit})"
    site.shell(recorder.two, f"kill -STOP {pid}")
    time.sleep(5)
    recorder.record("one-paused")
    site.shell(recorder.two, f"kill -CONT {pid}")
    recorder.until(3)
    lab.cut(recorder.three, recorder.one, recorder.two)
    time.sleep(5)
    recorder.record("one-cut-off")
    lab.heal(recorder.three)
    recorder.until(3)
    lab.power_off(recorder.two)
    time.sleep(3)
    recorder.record("one-powered-off")
    lab.power_on(recorder.two)
    lab.wait_for_ssh(recorder.two)
    recorder.until(3)


def learner(recorder: Recorder) -> None:
    """A member that is taken away and added again as a learner, as no operation does yet."""
    site, three = recorder.site, recorder.three
    config, host = site.cluster.config_dir, site.cluster.host(three)
    members = json.loads(recorder.etcdctl(recorder.one, "member", "list", "-w", "json"))["members"]
    (gone,) = (f"{one['ID']:x}" for one in members if one["name"] == three)
    site.stop(three)
    recorder.etcdctl(recorder.one, "member", "remove", gone)
    time.sleep(6)  # etcd refuses to add within 5 s of another change
    url = peer_url(site.cluster, host)
    recorder.etcdctl(recorder.one, "member", "add", three, "--learner", f"--peer-urls={url}")
    everybody = ",".join(f"{one.name}={peer_url(site.cluster, one)}" for one in site.cluster.hosts)
    bootstrap = f'initial-cluster: "{everybody}"\ninitial-cluster-state: "existing"\n'
    site.shell(
        three,
        f"rm -rf {site.cluster.data_dir}/member {config}/cluster-id; "
        f"cat > {config}/bootstrap.yaml <<'END'\n{bootstrap}END\n",
    )
    recorder.record("learner-unstarted")
    site.shell(three, f"systemctl start {site.cluster.unit}")
    time.sleep(3)
    recorder.record("learner")


def alarms(recorder: Recorder) -> None:
    """Out of space, corrupt, and both for a certificate whose user may not read."""
    recorder.deploy()
    recorder.let_root_in()
    recorder.fill()
    time.sleep(1)
    recorder.record("nospace")
    for words in (
        ("user", "add", "root", "--no-password"),
        ("role", "add", "root"),
        ("user", "grant-role", "root", "root"),
    ):
        recorder.etcdctl(recorder.one, *words)
    recorder.etcdctl(recorder.one, "auth", "enable")
    recorder.record("auth-nospace")
    recorder.etcdctl(recorder.one, "alarm", "disarm")
    recorder.record("auth")
    recorder.etcdctl(recorder.one, "auth", "disable")
    recorder.raise_alarm("CORRUPT")
    recorder.record("corrupt")


def main() -> None:
    """Record all versions on one lab."""
    lab = Lab.up("facts", 3)
    try:
        lines = [f"{host.name} {host.address}\n" for host in lab.hosts]
        (RECORDED / "addresses").write_text("".join(lines))
        for version in (*FULL, *SOME):
            with fresh(lab, version) as recorder:
                if version == FOREIGN:
                    foreign(recorder)
                plain(recorder)
                if version in FULL:
                    recorder.let_root_in()
                    faults(recorder)
                    learner(recorder)
            if version in FULL:
                with fresh(lab, version) as recorder:
                    alarms(recorder)
    finally:
        lab.down()


if __name__ == "__main__":
    main()
