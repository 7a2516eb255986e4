"""What the steps of a redeployment work with: the service, its code, and the trees made of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from quoracy.errors import StepFailed
from quoracy.operation.site import Site
from quoracy.services.code.build import (
    build_on_controller,
    builds_on_host,
    check_build,
    needs_build,
    unbuilt_tree,
)
from quoracy.services.code.sandbox import require_sandbox
from quoracy.services.code.scan import Scanned, scan
from quoracy.services.facts import ServiceHostFacts
from quoracy.services.layout import DEPENDENCY_LINK
from quoracy.services.plan.request import RedeployRequest
from quoracy.services.project import LoadedService
from quoracy.services.spec import Service
from quoracy.services.templates import render_unit
from quoracy.services.times import Times

Log = Callable[[str], None]
PRIVATE = (".npmrc", ".yarnrc", ".yarnrc.yml", ".pypirc", ".netrc", "pip.conf", "uv.toml")


Making = Literal["as it is", "built", "built on the host", "built before"]
"""How what a host runs comes from the code; "built before" is what --no-build ships."""


@dataclass(frozen=True, slots=True)
class Code:
    """The code as it is on the controller, and the trees that are built of it, by architecture.

    Attributes:
        scanned: What is compared with the hosts, without what they have of their own.
        workspace: Directory for the trees; gone when the operation ends.
    """

    service: Service
    source: Path
    scanned: Scanned
    making: Making
    workspace: Path
    trees: dict[str, Scanned] = field(default_factory=dict)

    def shipped(self, architecture: str) -> Scanned:
        """The tree for hosts of an architecture.

        Raises:
            StepFailed: It has not been built.
        """
        if self.making != "built":
            return _shippable(self.scanned)
        if architecture not in self.trees:
            raise StepFailed(f"nothing was built for {architecture}", where=self.service.name)
        return self.trees[architecture]

    def build(self, architecture: str, *, home: Path, log: Log) -> str:
        """Build the tree for an architecture, and say how large it is."""
        place = self.workspace / architecture
        place.mkdir()
        tree = build_on_controller(
            self.service,
            self.scanned,
            place,
            architecture=architecture,
            home=home,
            log=log,
            timeout=float(self.service.redeploy.build_timeout),
        )
        made = without_shared(self.service, scan(tree, ignoring=False))
        self.trees[architecture] = _shippable(made)
        return f"{len(made.manifest.entries)} files"


def _shippable(scanned: Scanned) -> Scanned:
    """Without what builds read and hosts must not have: registries' tokens."""
    private = (
        entry.path for entry in scanned.manifest.entries if entry.path.rpartition("/")[2] in PRIVATE
    )
    return Scanned(scanned.source, scanned.manifest.without(private))


@contextmanager
def read_code(loaded: LoadedService, home: Path, *, no_build: bool) -> Iterator[Code]:
    """Read the code of a service; the trees made of it are gone after the block.

    Raises:
        UsageError: The code cannot be shipped, or would have to be built here without a wall around it.
    """
    service, source = loaded.service, loaded.source
    scanned = without_shared(service, scan(source))
    making: Making = "as it is"
    with TemporaryDirectory(prefix="quoracy-build-") as directory:
        workspace = Path(directory)
        if needs_build(service, source):
            if no_build or service.redeploy.skip_build:
                making = "built before"
                tree = unbuilt_tree(service, scanned, workspace)
                scanned = without_shared(service, scan(tree, ignoring=False))
            else:
                check_build(service, source)
                making = "built on the host" if builds_on_host(service, source) else "built"
                if making == "built":
                    require_sandbox(home, service.name)
        yield Code(service, source, scanned, making, workspace)


def without_shared(service: Service, scanned: Scanned) -> Scanned:
    """What is shipped: shared paths and the link to the dependencies are the host's own."""
    link = DEPENDENCY_LINK.get(service.type)
    own = (*service.redeploy.shared, *((link,) if link else ()))
    return Scanned(scanned.source, scanned.manifest.without(own))


def recipe_of(service: Service, making: Making) -> str:
    """Digest of how a release is made and run, apart from its code and its dependencies."""
    units, wanted = render_unit(service), service.redeploy
    parts = [
        units.unit,
        units.socket,
        units.environment.hex(),
        making,
        wanted.build,
        wanted.public,
        sorted(wanted.shared),
    ]
    if making == "built" and wanted.install_scripts:
        parts.append("install scripts")
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def unit_digest(service: Service) -> str:
    """SHA-256 of the text of the service's unit; "" when it has none of its own."""
    text = render_unit(service).unit
    return hashlib.sha256(text.encode()).hexdigest() if text else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSite(Site):
    """One service and its hosts.

    Attributes:
        code: None when nothing is shipped, as in a rollback.
        request: What is to run; None in a rollback.
        found: What the hosts have said when the plan was made.
        log: Shows the output of builds and hooks as it comes.
        times: When the files of releases count as changed.
    """

    service: Service
    code: Code | None
    request: RedeployRequest | None
    found: Mapping[str, ServiceHostFacts]
    log: Log
    times: Times
