"""The services of `quoracy up`: their environment, their processes, and where they listen."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import yaml
from cryptography.fernet import Fernet

from quoracy.durable import made_once, make_directory, write_file
from quoracy.errors import QuoracyError, UsageError
from quoracy.home import Home
from quoracy.login import server_login
from quoracy.prefect.api import NO_ANSWER, Greeting, ask, greet

LOOPBACK, DEFAULT_PORT = "127.0.0.1", 4200
START_S, STOP_S = 120.0, 30.0
SERVER, RUNNER = "server", "runner"


@dataclass(frozen=True, slots=True)
class Service:
    """A running service: its process, told from later ones of the same ID, and the server's URL."""

    name: str
    pid: int
    started: int
    url: str


def prefect_environment(home: Home, url: str, login: str) -> dict[str, str]:
    """Environment of everything that talks to the Prefect server at `url`, or is it.

    Runs and events are the audit log: events are kept a year instead of Prefect's seven days.
    """
    return {
        "PREFECT_HOME": str(home.prefect),
        "PREFECT_API_URL": f"{url}/api",
        "PREFECT_API_AUTH_STRING": login,
        "PREFECT_UI_API_URL": f"{url}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": "P365D",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    }


def start_server(home: Home, port: int | None, checkout: Path) -> Service:
    """Start the Prefect server on loopback and wait until it answers.

    Raises:
        UsageError: The wanted port is taken, or the login cannot be used.
        QuoracyError: It did not answer in time; the log says why.
    """
    chosen, login = _free_port(port), server_login(home)
    url = f"http://{LOOPBACK}:{chosen}"
    environment = {
        **prefect_environment(home, url, login),
        "PREFECT_SERVER_API_HOST": LOOPBACK,
        "PREFECT_SERVER_API_PORT": str(chosen),
        "PREFECT_SERVER_API_AUTH_STRING": login,
        # The UI is asked for by either name, and asks the API by the first.
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"{url},http://localhost:{chosen}",
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_ENCRYPTION_KEY": _encryption_key(home),
    }
    service = _start(home, SERVER, ("-m", "deployments.server"), environment, url, checkout)
    _wait(home, service, lambda: greet(url, login) is Greeting.READY)
    return service


def start_runner(home: Home, url: str, checkout: Path) -> Service:
    """Start the process that registers and serves every deployment.

    Raises:
        QuoracyError: It, or the server, ended or did not get ready in time; the log says why.
    """
    login = server_login(home)
    environment = {**prefect_environment(home, url, login), "QUORACY_HOME": str(home.path)}
    names, begun = deployments_of(checkout), datetime.now(UTC)
    service = _start(home, RUNNER, ("-m", "deployments.serve"), environment, url, checkout)

    def ready() -> bool:
        try:
            return _polled(url, login, since=begun) >= names
        except NO_ANSWER as error:
            if greet(url, login) is Greeting.READY:
                return False
            raise QuoracyError(
                f"the server at {url} went away while the runner started: {error}",
                where=str(_log(home, SERVER)),
                next_step="read the log named above, run `quoracy down`, then `quoracy up` again",
            ) from error

    _wait(home, service, ready)
    return service


def deployments_of(checkout: Path) -> set[str]:
    """Names of the deployments in a checkout's prefect.yaml."""
    project = yaml.safe_load((checkout / "prefect.yaml").read_text())
    return {str(deployment["name"]) for deployment in project["deployments"]}


def stop(home: Home, name: str) -> bool:
    """Stop a service and wait for it; False when it does not run."""
    service = read_service(home, name)
    if service is None:
        return False
    _signal(service, signal.SIGTERM)
    deadline = time.monotonic() + STOP_S
    while _running(service):
        if time.monotonic() > deadline:
            _signal(service, signal.SIGKILL)
            break
        time.sleep(0.1)
    _record(home, name).unlink(missing_ok=True)
    return True


def read_service(home: Home, name: str) -> Service | None:
    """The service as recorded, when its process still runs."""
    try:
        service = Service(**json.loads(_record(home, name).read_text()))
    except FileNotFoundError:
        return None
    return service if _running(service) else None


def _start(
    home: Home,
    name: str,
    command: tuple[str, ...],
    environment: Mapping[str, str],
    url: str,
    checkout: Path,
) -> Service:
    make_directory(home.run)
    with _log(home, name).open("ab") as log:
        process = subprocess.Popen(
            (sys.executable, *command),
            env={**os.environ, **environment},
            cwd=checkout,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    service = Service(name, process.pid, _started(process.pid), url)
    content = {"name": name, "pid": service.pid, "started": service.started, "url": url}
    write_file(_record(home, name), json.dumps(content).encode(), mode=0o600)
    return service


def _wait(home: Home, service: Service, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_S
    while not ready():
        if not _running(service) or time.monotonic() > deadline:
            raise QuoracyError(
                f"the {service.name} did not become ready",
                where=str(_log(home, service.name)),
                next_step="read the log named above; `quoracy down` cleans up",
            )
        time.sleep(0.2)


def _polled(url: str, login: str, *, since: datetime) -> set[str]:
    """Names of the deployments for which a runner has asked for work since a time.

    That they exist says nothing: an earlier runner has left them behind.
    """
    return {
        str(deployment["name"])
        for deployment in ask(url, login, "/deployments/filter", {})
        if deployment["last_polled"] and datetime.fromisoformat(deployment["last_polled"]) >= since
    }


def _encryption_key(home: Home) -> str:
    """Key of the server's secret blocks, kept outside the server's database."""
    path = home.path / "prefect-encryption-key"
    return made_once(path, Fernet.generate_key, mode=0o600).decode()


def _free_port(wanted: int | None) -> int:
    """The wanted port, or the default one, or any when the default one is taken."""
    for port in (wanted,) if wanted else (DEFAULT_PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise UsageError(f"port {wanted} is taken", next_step="choose another one with --port")


def _signal(service: Service, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it may end by itself at any moment
        os.kill(service.pid, number)


def _running(service: Service) -> bool:
    # One that was gone before it was looked at has 0, as every process that is gone.
    return service.started != 0 and _started(service.pid) == service.started


def _started(pid: int) -> int:
    """Clock ticks from boot to the process's start; 0 when it is gone or a zombie (proc(5))."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):  # the latter: it ended while it was read
        return 0
    return 0 if fields[0] == "Z" else int(fields[19])


def _record(home: Home, name: str) -> Path:
    return home.run / f"{name}.json"


def _log(home: Home, name: str) -> Path:
    return home.run / f"{name}.log"
