"""Bad input of issue 3 on hosts that are really so: `quoracy plan`, then the deploy itself.

Every row ends with exit code 2 or 3 and one message, and leaves no trace: no file on any host, no
row in the database but that of the refused operation.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lab.lab import Lab
from quoracy.etcd.spec import EtcdCluster
from quoracy.home import Home
from quoracy.pki.authority import Authority
from tests.bad_input.bad_controller import call, wanted_rows, write_spec
from tests.judges.watch import Watch

pytestmark = pytest.mark.lab

VERSION = "3.5.16"
ROLES = ("peer", "server", "client")


@dataclass(slots=True)
class World:
    """The lab, a directory on the controller, and the spec that the row spoils."""

    lab: Lab
    place: Path
    spec: dict[str, Any]
    after: list[Callable[[], object]] = field(default_factory=list)

    @property
    def host(self) -> str:
        """The host that is bad."""
        return self.lab.hosts[1].name

    def on_host(self, script: str, undo: str) -> None:
        """Spoil the host, until the row has ended."""
        self.after.append(lambda: self.lab.shell(self.host, undo))
        self.lab.shell(self.host, script)

    def archives(self) -> Path:
        """A source of releases of the row's own, with one good archive in it."""
        source = self.place / "archives"
        source.mkdir()
        for name in ("SHA256SUMS", f"etcd-v{VERSION}-linux-amd64.tar.gz"):
            shutil.copy(self.lab.archives / name, source / name)
        self.spec["release"] = {"directory": str(source)}
        return source

    def archive(self) -> Path:
        return self.archives() / f"etcd-v{VERSION}-linux-amd64.tar.gz"


@pytest.fixture
def world(lab: Lab, home: Home, tmp_path: Path) -> Iterator[World]:
    hosts = [{"name": host.name, "address": host.address} for host in lab.hosts[:3]]
    spec: dict[str, Any] = {
        "kind": "etcd",
        "name": "bad",
        "version": VERSION,
        "ssh": {"key_file": str(lab.key_file), "known_hosts": str(lab.known_hosts)},
        "hosts": hosts,
        "ports": {"client": 32379, "peer": 32380},
        # Releases lie there for all clusters of a host; these rows are about fetching them.
        "directories": {"bin": "/opt/etcd-bad"},
        "release": {"directory": str(lab.archives)},
        "backup": {"directory": str(tmp_path / "backups")},
    }
    made = World(lab, tmp_path, spec)
    yield made
    for undo in reversed(made.after):
        undo()


# ------------------------------------------------------------------ hosts


def unreachable(world: World) -> None:
    world.lab.cut(world.host, "controller")
    world.after.append(lambda: world.lab.heal(world.host))


def nothing_listens(world: World) -> None:
    world.spec["hosts"][1]["ssh"] = {"port": 2}


def unknown_key(world: World) -> None:
    lines = world.lab.known_hosts.read_text().splitlines(keepends=True)
    address = world.lab.host(world.host).address
    known = world.place / "known_hosts"
    known.write_text("".join(line for line in lines if not line.startswith(f"{address} ")))
    world.spec["ssh"]["known_hosts"] = str(known)


def changed_key(world: World) -> None:
    lines = dict(line.split(" ", 1) for line in world.lab.known_hosts.read_text().splitlines())
    lines[world.lab.host(world.host).address] = lines[world.lab.hosts[0].address]
    known = world.place / "known_hosts"
    known.write_text("".join(f"{address} {key}\n" for address, key in lines.items()))
    world.spec["ssh"]["known_hosts"] = str(known)


def no_sudo(world: World) -> None:
    world.on_host(
        "useradd --create-home plain && install -d -o plain -m 0700 /home/plain/.ssh && "
        "install -o plain -m 0600 /root/.ssh/authorized_keys /home/plain/.ssh/authorized_keys",
        "userdel --force --remove plain 2>/dev/null || [ $? -ge 8 ]",
    )
    world.spec["hosts"][1]["ssh"] = {"user": "plain"}


def no_login(world: World) -> None:
    world.spec["hosts"][1]["ssh"] = {"user": "nobody-here"}


def no_systemd(world: World) -> None:
    world.on_host("mount -t tmpfs none /run/systemd", "umount /run/systemd")


def no_disk(world: World) -> None:
    world.lab.fill_disk(world.host, leave=100 * 1024**2)
    world.after.append(lambda: world.lab.free_disk(world.host))


def port_held(world: World) -> None:
    world.on_host(
        "systemd-run --quiet --unit=squatter systemd-socket-activate -l 32380 cat; "
        "for i in 1 2 3 4 5 6 7 8 9 10; do grep -q ':7E7C ' /proc/net/tcp* && break; sleep 0.2; done",
        "systemctl stop squatter",
    )


def foreign_data(world: World) -> None:
    wal = "/var/lib/etcd/bad/member/wal"
    world.on_host(f"mkdir -p {wal} && touch {wal}/0.wal", "rm -rf /var/lib/etcd/bad")


# ------------------------------------------------------------------ releases


def missing_version(world: World) -> None:
    world.spec["version"] = "3.5.99"


def missing_archive(world: World) -> None:
    world.archive().unlink()


def missing_checksum(world: World) -> None:
    (world.archives() / "SHA256SUMS").write_text(f"{'0' * 64}  another.tar.gz\n")


def no_checksums(world: World) -> None:
    (world.archives() / "SHA256SUMS").unlink()


def wrong_checksum(world: World) -> None:
    archive = world.archive()
    (archive.parent / "SHA256SUMS").write_text(f"{'0' * 64}  {archive.name}\n")


def truncated(world: World) -> None:
    archive = world.archive()
    with archive.open("r+b") as file:
        file.truncate(archive.stat().st_size // 2)


def truncated_before_publishing(world: World) -> None:
    truncated(world)
    archive = world.place / "archives" / f"etcd-v{VERSION}-linux-amd64.tar.gz"
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    (archive.parent / "SHA256SUMS").write_text(f"{digest}  {archive.name}\n")


def no_mirror(world: World) -> None:
    world.spec["release"] = {"url": "http://127.0.0.1:9/etcd"}


# ------------------------------------------------------------------ certificates


def given(
    world: World,
    *,
    age: timedelta = timedelta(0),
    valid: timedelta = timedelta(days=300),
    sans: tuple[str, ...] | None = None,
    role: str = "",
) -> Path:
    """Certificates of the user's own CA; those of the bad host's server are special."""
    now = datetime.now(UTC)
    authority = Authority.create("own", now - timedelta(days=400))
    pki = world.place / "pki"
    pki.mkdir()
    (pki / "ca.pem").write_bytes(authority.cert_pem)
    for host in world.spec["hosts"]:
        for kind in ROLES:
            bad = (host["name"], kind) == (world.host, "server")
            names = [host["address"], "127.0.0.1"] if sans is None or not bad else list(sans)
            made, life = (now - age, valid) if bad else (now, timedelta(days=300))
            leaf = authority.issue(role or kind if bad else kind, host["name"], names, made, life)  # type: ignore[arg-type]
            (pki / f"{host['name']}-{kind}.pem").write_bytes(leaf.cert_pem)
            (pki / f"{host['name']}-{kind}.key").write_bytes(leaf.key_pem)
    files = {"certificate": f"{pki}/{{host}}-{{role}}.pem", "key": f"{pki}/{{host}}-{{role}}.key"}
    world.spec["tls"] = {"files": {"ca": str(pki / "ca.pem"), **files}}
    return pki


def expired(world: World) -> None:
    given(world, age=timedelta(days=10), valid=timedelta(days=9))


def not_yet_valid(world: World) -> None:
    given(world, age=timedelta(days=-2))


def other_key(world: World) -> None:
    pki = given(world)
    shutil.copy(pki / f"{world.host}-peer.key", pki / f"{world.host}-server.key")


def no_key(world: World) -> None:
    (given(world) / f"{world.host}-server.key").write_text("-----BEGIN PRIVATE KEY-----\nhunter2\n")


def no_certificate(world: World) -> None:
    (given(world) / f"{world.host}-server.pem").write_text("nothing\n")


def no_file(world: World) -> None:
    (given(world) / f"{world.host}-server.pem").unlink()


def without_san(world: World) -> None:
    given(world, sans=("127.0.0.1", "somewhere.example"))


def without_usage(world: World) -> None:
    given(world, role="client")


def other_ca(world: World) -> None:
    pki = given(world)
    other = Authority.create("own", datetime.now(UTC))
    (pki / "ca.pem").write_bytes(other.cert_pem)


ROWS: list[tuple[str, Callable[[World], None], int, tuple[str, ...]]] = [
    ("host is unreachable", unreachable, 3, ("{host}: could not be asked: no SSH connection", "sshd")),
    ("host has no sshd there", nothing_listens, 3, ("{host}: could not be asked: no SSH connection",)),
    ("host has an unknown key", unknown_key, 3, ("{host}", "is not known", "quoracy host trust")),
    ("host has a changed key", changed_key, 3, ("{host}", "has changed", "ssh-keygen -R")),
    ("host has no sudo", no_sudo, 3, ("{host}", "cannot become root", "sudoers")),
    ("host has no such login", no_login, 3, ("{host}", "refused the login of nobody-here",)),
    ("host has no systemd", no_systemd, 3, ("{host}", "systemd does not run there")),
    ("host has too little disk", no_disk, 3, ("{host}", "MiB free at", "256 are needed")),
    ("a port held by something else", port_held, 3, ("{host}: port 32380 is in use",)),
    ("a data directory of another cluster", foreign_data, 3, ("{host}", "/var/lib/etcd/bad holds")),
    ("a version that does not exist", missing_version, 3, ("etcd 3.5.99 for amd64 cannot be",)),
    ("a missing archive", missing_archive, 3, ("there is no such file", "SHA256SUMS into")),
    ("a missing checksum of a release", missing_checksum, 3, ("there is no checksum for etcd-v3",)),
    ("no checksums at all", no_checksums, 3, ("there is no such file", "SHA256SUMS")),
    ("a wrong checksum of a release", wrong_checksum, 3, ("the archive has sha256", "expected 000")),
    ("a truncated archive", truncated, 3, ("the archive has sha256", "put a good copy")),
    ("a truncated archive with its checksum", truncated_before_publishing, 3, ("cannot be read as",)),
    ("a mirror that does not answer", no_mirror, 3, ("the download failed: [Errno 111]",)),
    ("certificate expired", expired, 3, ("{host}: the server certificate expired on",)),
    ("certificate not yet valid", not_yet_valid, 3, ("{host}: the server certificate is valid from",)),
    ("certificate not matching its key", other_key, 2, ("{host}-server.key: the key does not",)),
    ("key that is none", no_key, 2, ("{host}-server.key: it is not a private key",)),
    ("certificate that is none", no_certificate, 2, ("{host}-server.pem: it is not a certificate",)),
    ("certificate that is missing", no_file, 2, ("{host}-server.pem: cannot be read",)),
    ("certificate without the right SAN", without_san, 3, ("{host}: the server", "does not cover")),
    ("certificate without the right usage", without_usage, 3, ("may not be used for serverAuth",)),
    ("certificate of another CA", other_ca, 3, ("{host}", "is not signed by tls.files.ca")),
]  # fmt: skip


@contextmanager
def nothing_changes(world: World, home: Home) -> Iterator[None]:
    watch = Watch(world.lab, EtcdCluster.model_validate(world.spec))
    before = watch.files(), wanted_rows(home)
    yield
    assert (watch.files(), wanted_rows(home)) == before


@pytest.mark.parametrize(
    ("spoil", "exit_code", "says"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_plan_and_deploy(
    spoil: Callable[[World], None],
    exit_code: int,
    says: tuple[str, ...],
    world: World,
    home: Home,
) -> None:
    spoil(world)
    applied = call("cluster", "apply", "-f", str(write_spec(world.place, world.spec, "bad")))
    assert applied.exit_code == 0, applied.err
    says = tuple(part.replace("{host}", world.host) for part in says)
    with nothing_changes(world, home):
        outcome = call("plan", "etcd-deploy", "bad")
        outcome.require_one_message(exit_code, says)
        assert "hunter2" not in outcome.err + outcome.out
        outcome = call("etcd-deploy", "bad", "--without-prefect")
        outcome.require_told(exit_code, says)
        assert "hunter2" not in outcome.err + outcome.out
    assert not (home.pki / "bad").exists()
