"""service-redeploy put together: config and code of the project, facts from the hosts, plan, and the loop."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from quoracy.db.services import record_service
from quoracy.db.session import Database
from quoracy.errors import UsageError
from quoracy.home import Home
from quoracy.hosts.host import Host
from quoracy.hosts.looks import ask
from quoracy.operation.operation import open_controller
from quoracy.operation.plan import Plan
from quoracy.services.code.dependencies import dependency_key
from quoracy.services.code.outputs import outputs
from quoracy.services.code.revision import revision_of
from quoracy.services.facts_site import ServiceFacts
from quoracy.services.facts_state import parse_verified
from quoracy.services.gather import service_pool
from quoracy.services.manifest import Difference, difference, parse_manifest
from quoracy.services.operation import (
    ServiceOperation,
    mask_environment,
    settle_seconds,
)
from quoracy.services.plan.redeploy import plan_service_redeploy
from quoracy.services.plan.request import RedeployRequest
from quoracy.services.plan.switching import is_canary_due
from quoracy.services.project import LoadedService, load_code_service
from quoracy.services.scripts import read_manifest, verify_release
from quoracy.services.site import Code, read_code, recipe_of, unit_digest

VERIFY_S = 600.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """The parameters of service-redeploy, as a person gives them.

    Attributes:
        project: Directory that holds `deployments/`; absolute.
        no_build: Ship what a build has left in the source, without building.
        force: Make and switch to a new release where nothing has changed.
        verify: Compare the files on the hosts with what was shipped to them.
    """

    service: str
    project: str
    no_build: bool = False
    force: bool = False
    dry_run: bool = False
    verify: bool = False


@dataclass(slots=True, kw_only=True)
class ServiceRedeploy(ServiceOperation):
    """One service-redeploy under way."""

    wanted: Wanted
    code: Code

    def decide(self, facts: ServiceFacts) -> Plan:
        """The plan as it is shown."""
        self.request = self._request(facts)
        return plan_service_redeploy(self.service, facts, self.request)

    def decide_again(self, facts: ServiceFacts, shown: Plan, done: frozenset[str]) -> Plan:
        """The same request: the code was read once, and is compared with that when it is sent."""
        assert self.request is not None, "a plan was shown"
        canary = is_canary_due(shown, done)
        return plan_service_redeploy(self.service, facts, self.request, canary=canary)

    def _request(self, facts: ServiceFacts) -> RedeployRequest:
        scanned, making = self.code.scanned, self.code.making
        keys = {(one.runtime, one.host.architecture): "" for one in facts.heard.values()}
        for runtime, architecture in keys:
            keys[runtime, architecture] = dependency_key(
                self.service, self.code.source, runtime, architecture
            )
        return RedeployRequest(
            source=scanned.manifest.digest,
            recipe=recipe_of(self.service, making),
            unit=unit_digest(self.service),
            paths={entry.path: entry.content for entry in scanned.manifest.entries},
            bytes=sum(entry.size for entry in scanned.manifest.entries),
            dependencies={
                name: keys[one.runtime, one.host.architecture] for name, one in facts.heard.items()
            },
            files=self._files(facts) if making in ("as it is", "built before") else {},
            outputs=outputs(self.service) if making != "as it is" else (),
            builds_here=making == "built",
            builds_on_host=making == "built on the host",
            drifted=self._drifted(facts) if self.wanted.verify else frozenset(),
            forced=self.wanted.force,
            token=secrets.token_hex(3),
            note=revision_of(self.code.source),
        )

    def _files(self, facts: ServiceFacts) -> dict[str, Difference]:
        """What differs from the current release, on hosts that have sent its manifest along."""
        wanted = self.code.shipped("").manifest
        return {
            name: difference(one.manifest, wanted)
            for name, one in facts.heard.items()
            if one.manifest is not None
        }

    def _drifted(self, facts: ServiceFacts) -> frozenset[str]:
        """Hosts where a file of the current release is not what was shipped."""
        if self.code.making == "built on the host":
            raise UsageError(
                "--verify compares with what was shipped, and a build on the host has changed that",
                where=self.service.name,
                next_step="leave --verify out, or build on the controller (redeploy.build_on)",
            )
        script = verify_release(self.service)
        current = {name: one.current for name, one in facts.heard.items() if one.current}

        def is_drifted(host: Host) -> bool:
            shipped = read_manifest(self.service, current[host.name])
            found = ask(host, script, parse_verified, what="verify the release", timeout=VERIFY_S)
            wanted = ask(host, shipped, parse_manifest, what="read the manifest", timeout=60.0)
            # A copy of a flat directory has none: what it was made of, nobody knows.
            return wanted is not None and found != wanted

        answers = self.pool.all(is_drifted, current)
        return frozenset(name for name, drifted in answers.items() if drifted)


@contextmanager
def open_service_redeploy(wanted: Wanted, home: Home | None = None) -> Iterator[ServiceRedeploy]:
    """Read config and code, and hold the hosts' connections while the block runs.

    Raises:
        UsageError: The service is unknown, carries no code, or cannot be shipped.
    """
    loaded = load_code_service(wanted.project, wanted.service)
    service = loaded.service
    mask_environment(service)
    with open_controller(home) as (at_home, db), service_pool(service, at_home) as pool:
        pool.connect_ahead()  # while the code is read
        with read_code(loaded, at_home.path, no_build=wanted.no_build) as code:
            _record(db, loaded, wanted.project)
            yield ServiceRedeploy(
                subject=service.subject,
                settle_s=settle_seconds(service),
                pool=pool,
                home=at_home,
                db=db,
                dry_run=wanted.dry_run,
                service=service,
                code=code,
                wanted=wanted,
            )


def _record(db: Database, loaded: LoadedService, project: str) -> None:
    service = loaded.service
    spec = json.loads(service.model_dump_json(by_alias=True))
    # Names only: the values may be secrets.
    spec["container_env"] = sorted(service.environment)
    record_service(
        db,
        name=service.name,
        kind=service.type.value,
        project=project,
        spec_json=json.dumps(spec, sort_keys=True),
        now=datetime.now(UTC),
    )
