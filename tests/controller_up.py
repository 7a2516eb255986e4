"""A controller whose server and runner were started by `quoracy up`."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quoracy.home import Home
from quoracy.login import server_login
from quoracy.prefect.api import Greeting, ask, greet
from quoracy.prefect.up import RUNNER, SERVER, read_service
from tests.controller import home_in, port_nobody_listens_on, record, spec_text


@dataclass(frozen=True, slots=True)
class Up:
    """A controller whose services run."""

    home: Home
    environment: Mapping[str, str]
    port: int

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        program = Path(sys.executable).with_name("quoracy")
        done = subprocess.run(
            (str(program), *arguments),
            env=self.environment,
            cwd=self.home.path,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert "Traceback" not in done.stdout + done.stderr
        return done

    def pids(self) -> list[int]:
        services = (read_service(self.home, name) for name in (SERVER, RUNNER))
        return [service.pid for service in services if service]

    @property
    def url(self) -> str:
        """The server."""
        return f"http://127.0.0.1:{self.port}"

    def ended(self, run_id: str) -> dict[str, Any]:
        """A run, once it has ended."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            (run,) = (one for one in self.runs() if one["id"] == run_id)
            if run["end_time"]:
                return run
            time.sleep(0.5)
        raise AssertionError(f"run {run_id} does not end: {run['state']}")

    def record_server(self, pid: int) -> None:
        """Let it be the server that `quoracy up` has started, once it answers."""
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        content = {"name": SERVER, "pid": pid, "started": int(fields[19]), "url": self.url}
        (self.home.run / "server.json").write_text(json.dumps(content))
        deadline = time.monotonic() + 120
        while greet(self.url, "") is not Greeting.READY:
            assert time.monotonic() < deadline, "the server does not start"
            time.sleep(0.2)

    def runs(self) -> list[dict[str, Any]]:
        """All runs that nobody has scheduled."""
        wanted = {"flow_runs": {"tags": {"all_": ["etcd"]}}}
        found: list[dict[str, Any]] = ask(
            self.url, server_login(self.home), "/flow_runs/filter", wanted
        )
        return found


@contextmanager
def running_up(directory: Path, **environment: str) -> Iterator[Up]:
    """`quoracy up` on a free port, with the cluster demo, whose hosts do not answer."""
    home = home_in(directory)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "QUORACY_"))}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Up(home, {**kept, **environment, "QUORACY_HOME": str(home.path)}, port)
    with port_nobody_listens_on() as closed:
        record(home, spec_text(directory, closed))
        started = controller.call("up", "--port", str(port))
        try:
            assert started.returncode == 0, started.stderr
            assert f"server: http://127.0.0.1:{port}" in started.stdout
            yield controller
        finally:
            controller.call("down")
