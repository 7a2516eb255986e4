"""Before an operation on a service changes anything: may the gate ask at all?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from quoracy.db.session import open_database
from quoracy.errors import HostUnreachable, Refused
from quoracy.hosts.fake import FakeHost
from quoracy.hosts.pool import HostPool
from quoracy.hosts.targets import ssh_targets
from quoracy.operation.guard import Guard
from quoracy.operation.lease import Leased
from quoracy.operation.plan import Plan
from quoracy.services.operation import ServiceWork
from quoracy.services.rollback import RollbackWanted, ServiceRollback
from tests.controller import home_in
from tests.service_factories import ServiceWorld, running_host, service

WANTED = service(hosts=2)


class Away(FakeHost):
    """A host whose connection breaks whenever forwarding is tried."""

    def require_forwarding(self, port: int, **_: Any) -> None:
        raise HostUnreachable(f"cut off at {port}", where=self.name)


@contextmanager
def opened(
    directory: Path, kind: Callable[[str], FakeHost] = FakeHost
) -> Iterator[tuple[ServiceRollback, dict[str, FakeHost]]]:
    """A rollback of two hosts that run the newer of two releases."""
    hosts = {name: kind(name) for name in ("h1", "h2")}
    world = ServiceWorld({name: running_host("new", "b", {"old": "a"}) for name in hosts})
    home = home_in(directory)
    db = open_database(home.database_url)
    pool = HostPool(ssh_targets(WANTED, default_known_hosts="k"), lambda one: hosts[one.name])
    with pool:
        yield (
            ServiceRollback(
                subject=WANTED.subject,
                settle_s=1,
                pool=pool,
                home=home,
                db=db,
                service=WANTED,
                ask_hosts=lambda *_: world.look(),
                wanted=RollbackWanted("web", str(directory)),
                chosen={},
            ),
            hosts,
        )
    db.close()


def under_lease(rollback: ServiceRollback, plan: Plan) -> ServiceWork:
    """As the loop sees it."""
    lease: Any = Leased("op", "me", 1, "", beats=None)  # type: ignore[arg-type]
    return ServiceWork(rollback, lease, Guard(rollback.subject, "me", 1), plan)


def test_a_host_that_forbids_to_forward_is_refused_at_the_first_look(tmp_path: Path) -> None:
    with opened(tmp_path) as (rollback, hosts):
        plan = rollback.plan()
        hosts["h2"].forwards = False
        with pytest.raises(Refused, match=r"h2: its sshd forbids .*ForwardingForbidden"):
            under_lease(rollback, plan).look()
        assert [host.scripts for host in hosts.values()] == [[], []]


def test_later_looks_do_not_try_it_again(tmp_path: Path) -> None:
    with opened(tmp_path) as (rollback, hosts):
        plan = rollback.plan()
        work = under_lease(rollback, plan)
        assert work.look().groups == plan.groups
        hosts["h2"].forwards = False
        assert work.look().groups == plan.groups


def test_a_host_that_is_gone_meanwhile_is_for_the_look_to_tell(tmp_path: Path) -> None:
    with opened(tmp_path, Away) as (rollback, _):
        plan = rollback.plan()
        assert under_lease(rollback, plan).look().groups == plan.groups
