"""A controller whose flows run as processes of a real Prefect runner, against a cluster on real hosts.

Nothing of Prefect is imported: it is asked through its API, as the UI does.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

from quoracy.db.lease import get_lease
from quoracy.db.models import Operation, StepRecord
from quoracy.db.operations import history, steps_of
from quoracy.db.session import Database, open_database
from quoracy.login import server_login
from quoracy.prefect.up import RUNNER, SERVER, read_service, start_runner, start_server, stop
from tests.scenarios.scenario_site import Site

T = TypeVar("T")
CLIENT = "end-to-end"
CHECKOUT = Path(__file__).parents[2]
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


def wait_for(what: str, look: Callable[[], T | None], timeout: float = 120) -> T:
    """The first answer that is not None; fails when there is none in time."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        found = look()
        if found is not None:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen within {timeout} s")


@contextmanager
def _database(site: Site) -> Iterator[Database]:
    db = open_database(site.home.database_url)
    try:
        yield db
    finally:
        db.close()


@dataclass(slots=True)
class PrefectSite:
    """Server, runner and one cluster.

    Args:
        site: The cluster; its home is the controller's.
        port: Where the server listens, also after a restart.
    """

    site: Site
    port: int
    _csrf: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The server."""
        return f"http://127.0.0.1:{self.port}"

    def credentials(self) -> dict[str, str]:
        """The header of a request that comes with the login."""
        login = server_login(self.site.home).encode()
        return {"Authorization": f"Basic {base64.b64encode(login).decode()}"}

    def start_server(self) -> None:
        """Start it on the database that it had before."""
        start_server(self.site.home, self.port, CHECKOUT)

    def start_runner(self) -> None:
        """Start the runner, as `quoracy up` does."""
        start_runner(self.site.home, self.url, CHECKOUT)

    def kill(self, name: str) -> None:
        """End a service at once, as a power cut would."""
        service = read_service(self.site.home, name)
        assert service is not None, name
        os.kill(service.pid, signal.SIGKILL)
        os.waitpid(service.pid, 0)

    def down(self) -> None:
        """Stop both."""
        for name in (RUNNER, SERVER):
            stop(self.site.home, name)

    def ask(self, path: str, **body: Any) -> Any:
        """The API's answer to a POST."""
        return self._request("POST", path, body)

    def send(self, events: list[dict[str, Any]]) -> None:
        """Send events, as the engine of a run does."""
        self._request("POST", "/events", events)

    def run(self, run_id: str) -> dict[str, Any]:
        """One flow run."""
        found: dict[str, Any] = self._request("GET", f"/flow_runs/{run_id}", None)
        return found

    def _request(self, method: str, path: str, body: Any) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **self.credentials()}
        if method == "POST" and not self._csrf:
            token = self._request("GET", f"/csrf-token?client={CLIENT}", None)["token"]
            self._csrf = {"Prefect-Csrf-Client": CLIENT, "Prefect-Csrf-Token": token}

        def look() -> list[Any] | None:
            request = urllib.request.Request(
                f"{self.url}/api{path}",
                data=data,
                method=method,
                headers={**headers, **self._csrf},
            )
            try:
                with urllib.request.urlopen(request, timeout=30) as response:
                    return [json.loads(response.read() or b"null")]
            except urllib.error.HTTPError as error:
                with error:
                    # Its SQLite database is locked; Prefect's own client repeats that, too.
                    if error.code == HTTPStatus.SERVICE_UNAVAILABLE:
                        return None
                    raise

        (answer,) = wait_for(f"an answer to {method} {path}", look)
        return answer

    def start(self, deployment: str = "etcd-deploy", **parameters: Any) -> str:
        """Start a run as the UI does, and return its ID."""
        flow = "etcd-deploy" if deployment.startswith("etcd-") else deployment
        found = self._request("GET", f"/deployments/name/{flow}/{deployment}", None)
        made = self.ask(f"/deployments/{found['id']}/create_flow_run", parameters=parameters)
        return str(made["id"])

    def change(self, heartbeat_ms: int) -> None:
        """Want another setting, so that every member has to be restarted."""
        etcd = {**self.site.settings.get("etcd", {}), "heartbeat_interval_ms": heartbeat_ms}
        self.site.apply(etcd=etcd)

    def ended(self, run_id: str, timeout: float = 120) -> dict[str, Any]:
        """The run, once it has ended."""

        def look() -> dict[str, Any] | None:
            run = self.run(run_id)
            return run if run["state_type"] in FINAL else None

        return wait_for(f"the end of run {run_id}", look, timeout)

    def in_state(self, run_id: str, kind: str, timeout: float = 60) -> dict[str, Any]:
        """The run, once it is in a state of that type."""

        def look() -> dict[str, Any] | None:
            run = self.run(run_id)
            return run if run["state_type"] == kind else None

        return wait_for(f"{kind} of run {run_id}", look, timeout)

    def set_state(self, run_id: str, kind: str, name: str) -> None:
        """What the buttons of the UI do."""
        answer = self.ask(f"/flow_runs/{run_id}/set_state", state={"type": kind, "name": name})
        assert answer["status"] == "ACCEPT", answer

    def dialog(self, run_id: str) -> dict[str, Any]:
        """What the dialog of a paused run shows: its description, and the schema of the form."""
        keys = self.in_state(run_id, "PAUSED")["state"]["state_details"]["run_input_keyset"]

        def look() -> dict[str, Any] | None:
            inputs = self.ask(f"/flow_runs/{run_id}/input/filter", prefix=keys["description"])
            return inputs[0] if inputs else None

        description = wait_for("the description", look)["value"]
        schema = self._request("GET", f"/flow_runs/{run_id}/input/{keys['schema']}", None)
        return {"description": json.loads(description), "schema": schema}

    def answer(self, run_id: str, **run_input: Any) -> str:
        """Submit the dialog; the API answers bad input with HTTP 200 and REJECT."""
        answer = self.ask(f"/flow_runs/{run_id}/resume", run_input=run_input)
        return str(answer["status"])

    def logs(self, run_id: str) -> list[str]:
        """The run's log lines, once its last one has arrived."""
        wanted = {"flow_run_id": {"any_": [run_id]}}

        def look() -> list[str] | None:
            found = self.ask("/logs/filter", logs=wanted, sort="TIMESTAMP_ASC")
            lines = [str(line["message"]) for line in found]
            return lines if any(line.startswith("Finished in") for line in lines) else None

        return wait_for("the log", look)

    def retry(self, run_id: str) -> None:
        """The button *Retry*."""
        self.set_state(run_id, "SCHEDULED", "AwaitingRetry")

    def children(self, run_id: str) -> dict[str, list[str]]:
        """States of the members' subflows of a run, by member."""
        parent = {"parent_flow_run_id": {"any_": [run_id]}}
        states: dict[str, list[str]] = {}
        for child in self.ask("/flow_runs/filter", flow_runs=parent):
            states.setdefault(child["name"], []).append(child["state_type"])
        return states

    def under_way(self) -> list[str]:
        """Names of all flow runs and task runs that seem to run."""
        wanted = {"state": {"type": {"any_": ["RUNNING", "PENDING", "PAUSED", "CANCELLING"]}}}
        flows = self.ask("/flow_runs/filter", flow_runs=wanted)
        tasks = self.ask("/task_runs/filter", task_runs=wanted)
        return [str(one["name"]) for one in (*flows, *tasks)]

    def operations(self, run_id: str) -> list[Operation]:
        """What the journal holds of a run, newest first."""
        with _database(self.site) as db:
            return [one for one in history(db, self.site.name) if one.flow_run_id == run_id]

    def steps(self, operation: Operation) -> list[StepRecord]:
        """The steps of an operation."""
        with _database(self.site) as db:
            return steps_of(db, operation.id)

    def stops(self, member: int, run_id: str) -> StepRecord:
        """The step that stops the run's first, second, … member, once it has begun."""

        def look() -> StepRecord | None:
            for operation in self.operations(run_id):
                begun = [
                    step
                    for step in self.steps(operation)
                    if step.name == "stop-member" and step.state != "planned"
                ]
                if len(begun) >= member:
                    return begun[member - 1]
            return None

        return wait_for(f"stop of member {member} in run {run_id}", look)

    def held_in_a_step(self, run_id: str) -> tuple[int, StepRecord]:
        """The process that carries the run, stopped while one of its steps acts, and that step."""
        process = self.process()

        def look() -> StepRecord | None:
            os.kill(process, signal.SIGSTOP)  # what the journal says stays true
            (operation,) = self.operations(run_id)
            acting = [step for step in self.steps(operation) if step.state == "started"]
            if acting:
                return acting[0]
            os.kill(process, signal.SIGCONT)
            return None

        return process, wait_for(f"a step of run {run_id} that acts", look)

    def let_end(self, process: int) -> None:
        """Let a stopped process go on once it was told to end."""
        told = 1 << (signal.SIGTERM - 1)  # proc(5): the signals that wait for the whole process

        def look() -> bool | None:
            status = Path(f"/proc/{process}/status").read_text()
            waiting = int(status.split("ShdPnd:")[1].split()[0], 16)
            return bool(waiting & told) or None

        wait_for(f"SIGTERM to {process}", look)
        os.kill(process, signal.SIGCONT)

    def process(self) -> int:
        """The process that holds the cluster's lease."""
        with _database(self.site) as db:
            lease = get_lease(db, self.site.name)
        assert lease is not None
        return lease.pid

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `quoracy` as this controller."""
        return subprocess.run(
            self._command(*arguments),
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def begin(self, *arguments: str) -> tuple[subprocess.Popen[str], str]:
        """The same, under way: the process, and the ID of the run that it carries."""
        before = self._newest()
        child = subprocess.Popen(
            self._command(*arguments),
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        run = wait_for("a run", lambda: one if (one := self._newest()) != before else None)
        return child, run

    def _newest(self) -> str | None:
        with _database(self.site) as db:
            return next((one.flow_run_id for one in history(db, self.site.name)), None)

    def _command(self, *arguments: str) -> tuple[str, ...]:
        return (str(Path(sys.executable).with_name("quoracy")), *arguments)

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "QUORACY_"))}
        return {**kept, "QUORACY_HOME": str(self.site.home.path)}
