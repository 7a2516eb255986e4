"""Steps whose host answers with something else than what was asked for: they fail with a reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from quoracy.db.session import open_database
from quoracy.errors import AnswerUnreadable, BackupFailed
from quoracy.etcd.apply import apply_etcd_step
from quoracy.etcd.site import EtcdSite
from quoracy.etcd.steps import InstallRelease, TakeSnapshot
from quoracy.hosts.fake import FakeHost
from quoracy.hosts.host import Result
from quoracy.hosts.pool import HostPool
from quoracy.hosts.targets import ssh_targets
from quoracy.operation.guard import Guard
from tests.controller import home_in
from tests.etcd_factories import healthy_facts, spec

DEMO = spec(1)


@pytest.fixture
def host() -> FakeHost:
    host = FakeHost("demo-1")
    host.answer(lambda _: True, Result(0, b"", b""))
    return host


@pytest.fixture
def site(host: FakeHost, tmp_path: Path) -> Iterator[EtcdSite]:
    home = home_in(tmp_path)
    targets = ssh_targets(DEMO, default_known_hosts=str(home.known_hosts))[:1]
    db = open_database(home.database_url)
    with HostPool(targets, lambda _: host) as pool:
        yield EtcdSite(
            subject=DEMO.name,
            settle_s=60,
            cluster=DEMO,
            pool=pool,
            home=home,
            db=db,
            guard=Guard(DEMO.name, "me@here:1:aa", 3),
            stamp="op",
            resolvers={},
            look=lambda: healthy_facts(DEMO),
            recent=lambda: healthy_facts(DEMO),
        )
    db.close()


@pytest.mark.parametrize(
    "output",
    [
        b"",
        b"[]\n",
        b"[1]\n{}\n",
        b"\xff\n\xff\n",
        b'[{"Endpoint":"x","Status":{}}]\n{"revision":1}\n',
    ],
)
def test_what_says_nothing_of_a_snapshot_is_no_backup(
    site: EtcdSite, host: FakeHost, output: bytes
) -> None:
    host.answer(lambda script: "snapshot save" in script, Result(0, output, b""))
    step = TakeSnapshot("demo-1", least_revision=1, db_bytes=1)
    with pytest.raises(BackupFailed, match="nothing was changed: an answer cannot be read"):
        apply_etcd_step(step, site)
    assert "rm -f" in host.scripts[-1], "the unfinished snapshot is removed"


@pytest.mark.parametrize("output", [b"", b"riscv64\n", b"\xff\xfe\n", b"x86_64\nx86_64\n"])
def test_an_architecture_that_etcd_is_not_made_for(
    site: EtcdSite, host: FakeHost, output: bytes
) -> None:
    host.answer(lambda script: script == "uname -m", Result(0, output, b""))
    with pytest.raises(AnswerUnreadable, match=r"demo-1: .*etcd is not released for"):
        apply_etcd_step(InstallRelease("demo-1", "3.5.30"), site)
    assert host.sent == []
