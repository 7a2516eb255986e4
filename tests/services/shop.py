"""The example shop on practice hosts: redeployed by the library's own loop, judged over plain HTTP."""

from __future__ import annotations

import http.client
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from lab.lab import Lab
from quoracy.db.models import Operation, StepRecord
from quoracy.db.operations import history, steps_of
from quoracy.db.session import open_database
from quoracy.operation.lease import Asked, Report
from quoracy.operation.step import Step
from quoracy.services.facts import ServiceHostFacts
from quoracy.services.look import look_at_service
from quoracy.services.project import load_service
from quoracy.services.redeploy import ServiceRedeploy, Wanted, open_service_redeploy
from quoracy.services.rollback import RollbackWanted, open_service_rollback
from quoracy.services.site import ServiceSite
from tests.controller import caches, home_in

EXAMPLE = Path(__file__).parent.parent.parent / "examples/shop"
ASKED = Asked(by="tests", origin="terminal on tests")
PORTS = {"web": 3000, "api": 8000, "prices": 8080, "site": 80}
# Each call of systemctl costs as much as a request; so each is one for all services.
RAZE = """
units="web.socket web.service api.socket api.service prices.socket prices.service site.service"
systemctl kill --signal=KILL $units 2>/dev/null
systemctl stop $units nginx 2>/dev/null
for s in web api prices site; do
  rm -rf /etc/systemd/system/$s.service /etc/systemd/system/$s.socket /opt/$s \
    /etc/systemd/system/*.wants/$s.service /etc/systemd/system/*.wants/$s.socket \
    "/var/lib/quoracy/service:$s" /var/www/$s
done
rm -f /etc/nginx/sites-enabled/shop*
systemctl daemon-reload
systemctl reset-failed $units 2>/dev/null
:
"""


class Shop:
    """A project of services of its own, on hosts of the lab."""

    def __init__(self, lab: Lab, place: Path) -> None:
        self.lab = lab
        self.project = place / "shop"
        self.home = home_in(place)
        # Go compiles its library at the first build of a home: once on a machine, not for each module.
        (caches() / "builds").mkdir(parents=True, exist_ok=True)
        (self.home.path / "builds").symlink_to(caches() / "builds")
        shutil.copytree(EXAMPLE, self.project)

    # ------------------------------------------------------------------ the project

    def set(self, name: str, hosts: tuple[int, ...] = (1,), **redeploy: Any) -> None:
        """Put a service on hosts of the lab; settings of `redeploy` that are None are taken out."""
        path = self.project / f"deployments/{name}/service-config.yml"
        config = yaml.safe_load(path.read_text())
        chosen = [self.lab.hosts[number - 1] for number in hosts]
        config["hosts"] = [{"name": one.name, "address": one.address} for one in chosen]
        config["ssh"] = {
            "key_file": str(self.lab.key_file),
            "known_hosts": str(self.lab.known_hosts),
        }
        # The usual three seconds of watching are for services that die after two; where the gate is
        # not what is tested, several answers in a row will do.
        quick = {"health_check_stable": 0}
        wanted = {**quick, **config.get("redeploy", {}), **redeploy}
        config["redeploy"] = {key: value for key, value in wanted.items() if value is not None}
        path.write_text(yaml.safe_dump(config))

    def file(self, name: str, path: str) -> Path:
        """A file of a service's code."""
        return self.project / "services" / name / path

    def version(self, name: str, text: str) -> None:
        """Let the service say another version of itself."""
        self.file(name, "version.txt").write_text(f"{text}\n")

    # ------------------------------------------------------------------ operations

    @contextmanager
    def opened(self, name: str, **wanted: Any) -> Iterator[ServiceRedeploy]:
        with open_service_redeploy(Wanted(name, str(self.project), **wanted), self.home) as opened:
            yield opened

    def redeploy(self, name: str, **wanted: Any) -> Report:
        with self.opened(name, **wanted) as redeploy:
            return redeploy.run(redeploy.plan(), ASKED)

    def redeploy_with(
        self,
        name: str,
        *,
        before: Callable[[Step], object] = lambda _: None,
        after: Callable[[Step], object] = lambda _: None,
    ) -> Report:
        """Redeploy, and do something before or after each step."""
        with self.opened(name) as redeploy:
            carry_out = redeploy.apply_step

            def apply_step(step: Step, site: ServiceSite) -> str:
                before(step)
                told = carry_out(step, site)
                after(step)
                return told

            redeploy.apply_step = apply_step
            return redeploy.run(redeploy.plan(), ASKED)

    def rollback(self, name: str, to: str = "") -> Report:
        wanted = RollbackWanted(name, str(self.project), to)
        with open_service_rollback(wanted, self.home) as rollback:
            return rollback.run(rollback.plan(), ASKED)

    def operations(self, name: str) -> list[Operation]:
        return self._read(lambda db: history(db, f"service:{name}"))

    def steps(self, operation: str) -> list[StepRecord]:
        return self._read(lambda db: steps_of(db, operation))

    def _read(self, read: Callable[[Any], Any]) -> Any:
        db = open_database(self.home.database_url)
        try:
            return read(db)
        finally:
            db.close()

    # ------------------------------------------------------------------ what the hosts show

    def ask(self, name: str, path: str = "/", host: int = 1) -> str:
        """The body of an answer, which must be 200; from the service's own port."""
        address = self.lab.hosts[host - 1].address
        connection = http.client.HTTPConnection(address, PORTS[name], timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read().decode()
            assert answer.status == 200, (answer.status, body)
            return body
        finally:
            connection.close()

    def facts(self, name: str, host: int = 1) -> ServiceHostFacts:
        """What the product sees of a host."""
        loaded = load_service(self.project, name)
        found = look_at_service(loaded, self.home)[self.lab.hosts[host - 1].name]
        assert isinstance(found, ServiceHostFacts), found
        return found

    def shell(self, script: str, host: int = 1) -> str:
        """Output of a script on a host, past SSH; fails when it exits non-zero."""
        return self.lab.shell(self.lab.hosts[host - 1].name, script).decode()

    def raze(self, *hosts: int) -> None:
        """Take everything of the shop off hosts: of the first three, or of those given."""
        with ThreadPoolExecutor(3) as threads:
            list(threads.map(lambda number: self.shell(RAZE, number), hosts or (1, 2, 3)))
