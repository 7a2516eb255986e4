"""What is advised when a step of a redeployment fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from quoracy.db.session import open_database
from quoracy.errors import CommandFailed
from quoracy.hosts.fake import FakeHost
from quoracy.hosts.host import Result
from quoracy.hosts.pool import HostPool
from quoracy.hosts.targets import SshTarget
from quoracy.operation.guard import Guard
from quoracy.operation.step import Step
from quoracy.services import steps
from quoracy.services.advice import advice
from quoracy.services.apply import apply_service_step
from quoracy.services.site import ServiceSite
from quoracy.services.times import Times
from tests.code_services import service
from tests.controller import home_in

SHOP = service("nodejs")


@pytest.fixture
def host() -> FakeHost:
    return FakeHost("h1")


@pytest.fixture
def site(host: FakeHost, tmp_path: Path) -> Iterator[ServiceSite]:
    home = home_in(tmp_path)
    db = open_database(home.database_url)
    target = SshTarget("h1", "h1", 22, "root", None, str(home.known_hosts))
    with HostPool((target,), lambda _: host) as pool:
        yield ServiceSite(
            times=Times(SHOP, pool, {}, 0),
            subject=SHOP.subject,
            settle_s=60,
            pool=pool,
            home=home,
            db=db,
            guard=Guard(SHOP.subject, "me@here:1:aa", 3),
            stamp="op",
            resolvers={},
            service=SHOP,
            code=None,
            request=None,
            found={},
            log=print,
        )
    db.close()


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (steps.BuildHere("h1", "x86_64"), "the service runs as before"),
        (steps.RunHookBefore("h1", "r1"), "the service runs as before"),
        (steps.RunHookAfter("h1", "r1"), "journalctl -u shop.service"),
        (steps.SwitchRelease("h1", "r1", ""), "journalctl -u shop.service"),
        (steps.PruneReleases("h1"), "the new release serves"),
    ],
)
def test_it_says_what_serves_meanwhile(step: Step, said: str) -> None:
    assert said in advice(step, SHOP)
    assert "run again" in advice(step, SHOP)


def test_a_script_that_failed_says_what_to_do_next(site: ServiceSite, host: FakeHost) -> None:
    host.answer(lambda _: True, Result(1, b"", b"release r1 is not there"))
    with pytest.raises(CommandFailed, match="release r1 is not there") as failed:
        apply_service_step(steps.PruneReleases("h1"), site)
    assert failed.value.next_step == advice(steps.PruneReleases("h1"), SHOP)
