"""Quoracy's side of `make bench-redeploy`: a project with one service, the operation, the whole command."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from bench.redeploy_hosts import Reach
from bench.redeploy_trees import Tree
from bench.site import quoracy
from quoracy.db.operations import steps_of
from quoracy.db.session import open_database
from quoracy.home import Home
from quoracy.operation.lease import Asked
from quoracy.services.redeploy import Wanted, open_service_redeploy

NAME = "bench"
PORT = 8080
GATE = "await-service"
ASKED = Asked(by="bench", origin="bench")


@dataclass(frozen=True, slots=True)
class Ran:
    """One operation.

    Attributes:
        seconds: From before config and code are read and the first connection is opened to after the
            last one is closed and the journal is complete.
        gate_s: The part of it that the gate took; nobody else here has one.
    """

    seconds: float
    gate_s: float
    outcome: str

    @property
    def delivered_s(self) -> float:
        """What it took to bring the code and to restart, as the others do."""
        return self.seconds - self.gate_s


@dataclass(slots=True)
class Quoracy:
    """A project of one service, and Quoracy on it.

    Args:
        project: Directory of the project; it is made.
    """

    home: Home
    project: Path
    redeploy: dict[str, object] = field(default_factory=dict)

    def want(self, tree: Tree, reaches: Sequence[Reach]) -> None:
        """Write the service's config: this code, on these hosts, reached like this."""
        config = {
            "service_name": NAME,
            "service_type": "nodejs",
            "app_port": PORT,
            "local_app_path": str(tree.directory),
            "health_check_path": "/",
            "hosts": [_host(reach) for reach in reaches],
            "redeploy": self.redeploy,
        }
        file = self.project / f"deployments/{NAME}/service-config.yml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(config, sort_keys=False))

    def operate(self) -> Ran:
        """The operation itself: the library's loop, in this process.

        Raises:
            QuoracyError: It failed; `RolledBack` when the release before it serves again.
        """
        began = time.monotonic()
        with open_service_redeploy(Wanted(NAME, str(self.project)), self.home) as operation:
            report = operation.run(operation.plan(), ASKED)
        seconds = time.monotonic() - began
        return Ran(seconds, self._gate_s(report.operation_id), report.outcome)

    def command(self, *options: str) -> float:
        """Wall clock of the whole command, as a person types it."""
        began = time.monotonic()
        quoracy("service", "redeploy", NAME, "--project", str(self.project), *options)
        return time.monotonic() - began

    def _gate_s(self, operation_id: str) -> float:
        db = open_database(self.home.database_url)
        try:
            steps = [step for step in steps_of(db, operation_id) if step.name == GATE]
        finally:
            db.close()
        times = [(step.started_at, step.ended_at) for step in steps]
        return sum((end - start).total_seconds() for start, end in times if start and end)


def _host(reach: Reach) -> dict[str, object]:
    ssh = {
        "user": "root",
        "port": reach.port,
        "key_file": str(reach.key_file),
        "known_hosts": str(reach.known_hosts),
    }
    return {"name": reach.host, "address": reach.address, "ssh": ssh}
