"""Secrets are planted wherever a user can put them, and looked for wherever they may not be (law 9).

Real commands, a real Prefect server, a real S3 service, practice hosts: create, a backup that is
refused, a change, an operation in whose middle a member prints secrets, and the repair. The canary is
a text that is leaked on purpose, into each place that is searched: a search that misses it proves nothing.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.lab import Lab
from quoracy.prefect.up import SERVER, start_server, stop
from tests.audit.audit_site import BLOCK, CHECKOUT, GIVEN, OWN, AuditSite, key_of_bucket
from tests.audit.secret_search import ProcessLists
from tests.stores.swift_service import swift

pytestmark = [
    pytest.mark.lab,
    pytest.mark.prefect,
    # The server outlives the call that starts it, which Python takes for forgetfulness.
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
    pytest.mark.timeout(900),
]
CANARY = {"canary"}
PORTS = {OWN: {"client": 14379, "peer": 14380}, GIVEN: {"client": 15379, "peer": 15380}}
# systemd runs it as root before each start; it fails, and says more than it should.
BLABBING = """
mkdir -p /run/systemd/system/etcd-{name}.service.d
cat > /run/systemd/system/etcd-{name}.service.d/blab.conf <<'END'
[Service]
ExecStartPre=+/bin/sh -c 'cat /etc/etcd/{name}/tls/server.key /root/secret; echo; exit 1'
END
systemctl daemon-reload
"""


class Audited:
    """What the commands left behind, and the process lists meanwhile."""

    def __init__(self, site: AuditSite, canary: str, journals: list[bytes]) -> None:
        self.site = site
        self.canary = canary
        self.journals = journals
        self.lists = ProcessLists()


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuditSite]:
    """The controller with its secrets, an S3 service and a Prefect server."""
    if os.geteuid() != 0:
        pytest.skip("the S3 service of these tests starts as root only")
    with (
        pytest.MonkeyPatch.context() as patch,
        swift(tmp_path_factory.mktemp("swift"), *key_of_bucket()) as service,
    ):
        patch.setenv("no_proxy", "*")
        site = AuditSite(lab, tmp_path_factory.mktemp("audit"), service)
        service.client().create_bucket(Bucket="audit")
        site.plant()
        patch.setenv("TMPDIR", str(site.temporary))
        for name in ("PREFECT_API_URL", "QUORACY_DATABASE_URL"):
            patch.delenv(name, raising=False)
        site.raze()
        try:
            server = start_server(site.home, None, CHECKOUT)
            site.save_block(server.url)
            yield site
        finally:
            stop(site.home, SERVER)
            site.raze()


def deploy(site: AuditSite, cluster: str = OWN) -> int:
    return site.call("etcd-deploy", cluster)


def act(site: AuditSite) -> list[bytes]:
    """All kinds of operations; returns the hosts' journals from before a member blabs."""
    site.record(OWN, ports=PORTS[OWN], backup=site.bucket(f"file:{site.secret_file}"))
    assert deploy(site) == 0
    site.add_keys_of_hosts()
    tls = {
        "ca": f"{site.place}/given-ca.pem",
        "certificate": f"{site.place}/given-{{role}}.pem",
        "key": f"{site.place}/given-{{role}}.key",
    }
    site.record(GIVEN, hosts=1, ports=PORTS[GIVEN], tls={"files": tls})
    assert deploy(site, GIVEN) == 0

    site.keep(site.secret_file.name, site.wrong_key)
    change = {"snapshot_count": 20000}
    site.record(OWN, ports=PORTS[OWN], etcd=change, backup=site.bucket(f"file:{site.secret_file}"))
    assert deploy(site) == 1
    site.keep(site.secret_file.name, site.s3.secret_key)
    assert deploy(site) == 0
    change["snapshot_count"] = 30000
    site.record(OWN, ports=PORTS[OWN], etcd=change, backup=site.bucket(f"block:{BLOCK}"))
    assert deploy(site) == 0

    journals = [
        site.lab.shell(host.name, "journalctl --no-pager -o export") for host in site.lab.hosts[:3]
    ]
    for host in site.lab.hosts[:3]:
        # Not through a command line of ours: process lists are searched, too.
        (site.root_of(host.name) / "root" / "secret").write_text(site.s3.secret_key)
        site.lab.shell(host.name, BLABBING.format(name=OWN))
    change["snapshot_count"] = 40000
    site.record(OWN, ports=PORTS[OWN], etcd=change, backup=site.bucket(f"block:{BLOCK}"))
    assert deploy(site) == 1
    for host in site.lab.hosts[:3]:
        site.lab.shell(
            host.name,
            f"rm -r /root/secret /run/systemd/system/etcd-{OWN}.service.d; systemctl daemon-reload;"
            f" systemctl reset-failed etcd-{OWN}.service || true",
        )
    assert deploy(site) == 0
    look(site)
    return journals


def look(site: AuditSite) -> None:
    """Every command that shows what is kept."""
    assert site.call("history", "--export") == 0
    records = [json.loads(line) for line in site.output[-2].splitlines()]
    for record in (one for one in records if one["error"]):
        assert site.call("history", "--operation", record["id"]) == 0
    for words in (("status", OWN), ("plan", "etcd-deploy", OWN), ("cluster", "show", OWN)):
        assert site.call(*words) == 0
    assert site.call("lease", "show") == 0
    ended = [record["outcome"] for record in records if record["cluster"] == OWN]
    assert len(ended) == 6
    assert ended[0] == ended[2] == ended[3] == ended[5] == "done"


@pytest.fixture(scope="module")
def audited(site: AuditSite) -> Audited:
    """All was done, and the canary was leaked into every place that is searched."""
    canary = f"cage-{secrets.token_hex(12)}"
    audited = Audited(site, canary, [])
    with audited.lists:
        audited.journals = act(site)
        # As a cluster's name it is a parameter, and stands in artifacts, logs and our journal.
        site.record(canary, ports={"client": 16379, "peer": 16380})
        assert site.call("etcd-deploy", canary, "--action", "upgrade") == 3
    leak(audited)
    site.search.add("canary", canary)
    return audited


def leak(audited: Audited) -> None:
    """Put the canary into files and journals, as a careless program would."""
    site, canary = audited.site, audited.canary
    for path in (site.home.path / "careless", site.temporary / "left-over"):
        path.write_text(canary)
        path.chmod(0o644)
    for host in site.lab.hosts[:3]:
        site.lab.shell(host.name, f"echo {canary} > /var/tmp/careless; logger {canary}")
        journal = site.lab.shell(host.name, "journalctl --no-pager -o export -t root -n 50")
        audited.journals.append(journal)


def test_the_command_line_prints_none(audited: Audited) -> None:
    site = audited.site
    assert b"Traceback" not in b"".join(site.output)
    assert b"********" in b"".join(site.output)  # a member did blab, and was told of
    assert site.search.in_many(site.output) == CANARY


def test_no_process_list_shows_one(audited: Audited) -> None:
    assert len(audited.lists.seen) > 100
    assert audited.site.search.in_many(audited.lists.seen) == CANARY


def test_no_database_holds_one(audited: Audited) -> None:
    """Ours: specs, plans, journal, errors. Prefect's: logs, artifacts, parameters, states, blocks."""
    site = audited.site
    site.await_log("Finished in state", 6)
    for file in site.databases():
        assert file.stat().st_size > 0
        assert site.search.in_sqlite(file) == CANARY


def test_no_other_file_of_the_controller_holds_one(audited: Audited) -> None:
    """Databases, logs of server and runner, temporary files; the mode does not matter."""
    site = audited.site
    found = site.search.in_tree(site.place, allowed=site.allowed)
    careless = {str(site.home.path / "careless"), str(site.temporary / "left-over")}
    assert careless <= found.keys()
    assert set().union(*found.values()) == CANARY
    assert {path for path in site.allowed if path.stat().st_mode & 0o077} == set()
    assert site.home.path.stat().st_mode & 0o077 == 0


def test_no_temporary_file_of_ours_is_left(audited: Audited) -> None:
    temporary = audited.site.temporary
    left = [str(path.relative_to(temporary)) for path in temporary.rglob("*") if path.is_file()]
    assert left == ["left-over"]


def test_hosts_hold_keys_only_where_members_read_them(audited: Audited) -> None:
    """Whatever changed since the beginning, in memory too; the keys themselves are private."""
    site = audited.site
    for host in site.lab.hosts[:3]:
        root = site.root_of(host.name)
        keys = [
            path for name in (OWN, GIVEN) for path in (root / f"etc/etcd/{name}/tls").glob("*.key")
        ]
        assert keys
        assert [path for path in keys if path.stat().st_mode & 0o007] == []
        programs = (root / "opt/etcd").glob("*/etcd*")  # 60 MB each, and upstream's
        allowed, found = {*keys, *programs}, dict[str, set[str]]()
        for part in ("etc", "var", "run", "tmp", "root", "opt", "srv", "home", "dev/shm"):
            found |= site.search.in_tree(root / part, allowed=allowed, since=site.begun)
        outside = {path: names for path, names in found.items() if "/log/journal/" not in path}
        assert outside.keys() == {str(root / "var/tmp/careless")}
        assert outside.popitem()[1] == CANARY


def test_journals_of_hosts_hold_none_that_no_member_has_printed(audited: Audited) -> None:
    *before, first, second, third = audited.journals
    assert len(before) == 3
    search = audited.site.search
    assert search.in_many(before) == set()
    assert [search.found_in(journal) for journal in (first, second, third)] == [CANARY] * 3


def test_the_store_has_the_backups(audited: Audited) -> None:
    """The secrets were in use: three operations have stored a snapshot."""
    listed = audited.site.s3.client().list_objects_v2(Bucket="audit")
    assert len([entry for entry in listed["Contents"] if Path(entry["Key"]).suffix == ".db"]) >= 3
