"""Looks at services: all hosts, the gate, what a release consists of."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from quoracy.cli import service_tables
from quoracy.cli.screen import Console
from quoracy.cli.show import show_json
from quoracy.errors import QuoracyError
from quoracy.hosts.fake import FakeHost
from quoracy.hosts.host import HttpAnswer, Result
from quoracy.hosts.looks import understood
from quoracy.hosts.machine import HostSilent
from quoracy.hosts.targets import ssh_targets
from quoracy.services.facts_state import parse_verified
from quoracy.services.gather import gather_service
from quoracy.services.manifest import Manifest, difference, parse_manifest
from quoracy.services.plan.markdown import releases_markdown
from quoracy.services.plan.rollback import plan_service_rollback
from quoracy.services.project import load_code_service
from quoracy.services.redeploy import ServiceRedeploy, Wanted, open_service_redeploy
from quoracy.services.wait import await_service
from tests.controller import home_in
from tests.fuzz.lies import Draw, changed, lied
from tests.fuzz.looks import TESTS, Seen, caught, pool_of, show, terminal

SERVICES = TESTS / "services/recorded"


class Services:
    """Looks at services: all hosts, the gate, what a release consists of. A context for its projects."""

    def __init__(self, place: Path) -> None:
        self._stack = contextlib.ExitStack()
        self.recorded: list[dict[str, Any]] = [
            {
                "name": path.parent.parent.name,
                **{one.stem: one.read_bytes() for one in path.parent.iterdir()},
            }
            for path in sorted(SERVICES.glob("*/*/look.txt"))
        ]
        project = place / "shop"
        shutil.copytree(TESTS.parent / "examples/shop", project)
        names = sorted({one["name"] for one in self.recorded})
        home = home_in(place)
        self.opened: dict[str, ServiceRedeploy] = {}
        for name in names:
            _two_hosts(project / f"deployments/{name}/service-config.yml")
            wanted = Wanted(name, str(project), dry_run=True)
            self.opened[name] = self._stack.enter_context(open_service_redeploy(wanted, home))
            assert load_code_service(str(project), name).service.hosts

    def close(self) -> None:
        self._stack.close()

    def look(self, draw: Draw, seen: Seen) -> None:
        """Two hosts, of which one lies."""
        recorded = draw(st.sampled_from(self.recorded))
        opened = self.opened[recorded["name"]]
        service, output = opened.service, recorded["look"]
        pool = pool_of(
            ssh_targets(service, default_known_hosts="/nowhere"),
            {"h1": lied(draw, output), "h2": output},
        )
        facts = gather_service(service, "0" * 64, pool)
        assert not isinstance(facts.hosts["h2"], HostSilent), facts.hosts["h2"]
        seen.judge(facts.hosts["h1"])
        with terminal():
            show(opened.decide(facts), seen)
            show(
                plan_service_rollback(service, facts, draw(st.sampled_from(("", "flat", "c"))), {}),
                seen,
            )
            rows = [service_tables.status_row(service, *one) for one in facts.hosts.items()]
            service_tables.show_status(service, rows, Console(width=120))
            releases, silent = service_tables.release_rows(facts.hosts)
            service_tables.show_releases(service, releases, silent, Console(width=120))
            show_json([rows, releases])
        releases_markdown(facts).encode()

    def gate(self, draw: Draw, seen: Seen) -> None:
        """A release that is waited for, on a host that lies now and then."""
        recorded = draw(st.sampled_from(self.recorded))
        service, output = self.opened[recorded["name"]].service, recorded["state"]
        answers = [output, changed(draw, output), changed(draw, output)]
        host, now = FakeHost("h1"), [0.0]
        host.answer(lambda _: True, lambda _: Result(0, answers[len(host.scripts) % 3], b""))
        host.http_answer(lambda *_: True, HttpAnswer(200, b"", ""))

        def sleep(seconds: float) -> None:
            now[0] += max(seconds, 0.5)

        try:
            directory = f"{service.directory}/releases/r1"
            await_service(service, host, directory, hold=None, clock=lambda: now[0], sleep=sleep)
        except QuoracyError as error:
            str(error).encode("utf-8", "surrogatepass")
        seen.counts["gates"] += 1

    def release(self, draw: Draw, seen: Seen) -> None:
        """What the files of a release are, and what was shipped."""
        recorded = draw(st.sampled_from([one for one in self.recorded if "verified" in one]))
        shipped, found = recorded["manifest"], recorded["verified"]
        if draw(st.booleans()):
            shipped = changed(draw, shipped)
        else:
            found = changed(draw, found)

        def compare() -> Any:
            wanted = understood(shipped, parse_manifest, what="read the manifest", host="h1")
            there = understood(found, parse_verified, what="verify the release", host="h1")
            return difference(there, wanted or Manifest(()))

        seen.judge(caught(compare))


def _two_hosts(path: Path) -> None:
    config = yaml.safe_load(path.read_text())
    config["hosts"] = [{"name": f"h{n}", "address": f"198.51.100.{n}"} for n in (1, 2)]
    config.pop("ssh", None)
    path.write_text(yaml.safe_dump(config))
