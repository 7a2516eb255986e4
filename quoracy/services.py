"""The services of `quoracy up`: their environment, their processes, and where they listen."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import yaml
from cryptography.fernet import Fernet

from quoracy.durable import make_directory, write_file
from quoracy.errors import QuoracyError, UsageError
from quoracy.home import Home

DEFAULT_PORT = 4200
START_S, STOP_S = 120.0, 30.0
SERVER, RUNNER = "server", "runner"
# What reading from a server raises when it is gone, going, or no Prefect server; URLError is an
# OSError, and JSON that was cut off a ValueError.
_NO_ANSWER = (OSError, http.client.HTTPException, ValueError)


@dataclass(frozen=True, slots=True)
class Service:
    """A running service: its process, told from later ones of the same ID, and the server's URL."""

    name: str
    pid: int
    started: int
    url: str


def prefect_environment(home: Home, url: str) -> dict[str, str]:
    """Environment of everything that talks to the Prefect server at `url`, or is it.

    Runs and events are the audit log: events are kept a year instead of Prefect's seven days.
    """
    return {
        "PREFECT_HOME": str(home.prefect),
        "PREFECT_API_URL": f"{url}/api",
        "PREFECT_UI_API_URL": f"{url}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": "P365D",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    }


def server_url(home: Home, environ: Mapping[str, str] = os.environ) -> str:
    """Where the Prefect server answers: PREFECT_API_URL, or the one that `quoracy up` started.

    Raises:
        UsageError: No server answers; it says what to run.
    """
    given = environ.get("PREFECT_API_URL", "").removesuffix("/api").rstrip("/")
    service = read_service(home, SERVER)
    url = given or (service.url if service else "")
    if url and answers(url):
        return url
    shown = without_login(url)
    what = (
        f"the Prefect server at {shown} does not answer" if url else "no Prefect server runs here"
    )
    raise UsageError(what, next_step="run `quoracy up`, then the same command again")


def without_login(url: str) -> str:
    """The URL as it may be shown: without user and password."""
    scheme, slashes, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{slashes}{host.rpartition('@')[2]}{slash}{path}" if slashes else url


def answers(url: str) -> bool:
    """Whether a Prefect server is ready at the URL."""
    try:
        with urllib.request.urlopen(f"{url}/api/health", timeout=5) as response:  # noqa: S310  http or https
            return bool(response.status == 200)
    except _NO_ANSWER:
        return False


def start_server(home: Home, port: int | None) -> Service:
    """Start the Prefect server on loopback and wait until it answers.

    Raises:
        UsageError: The wanted port is taken.
        QuoracyError: It did not answer in time; the log says why.
    """
    chosen = _free_port(port)
    url = f"http://127.0.0.1:{chosen}"
    command = ("-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(chosen))
    environment = {
        **prefect_environment(home, url),
        "PREFECT_SERVER_ENCRYPTION_KEY": _encryption_key(home),
    }
    service = _start(home, SERVER, command, environment, url)
    _wait(home, service, lambda: answers(url))
    return service


def start_runner(home: Home, url: str, checkout: Path) -> Service:
    """Start the process that registers and serves every deployment.

    Raises:
        QuoracyError: It, or the server, ended or did not get ready in time; the log says why.
    """
    environment = {**prefect_environment(home, url), "QUORACY_HOME": str(home.path)}
    names, begun = deployments_of(checkout), datetime.now(UTC)
    service = _start(home, RUNNER, ("-m", "deployments.serve"), environment, url, cwd=checkout)

    def ready() -> bool:
        try:
            return _polled(url, since=begun) >= names
        except _NO_ANSWER as error:
            if answers(url):
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
    cwd: Path | None = None,
) -> Service:
    make_directory(home.run)
    with _log(home, name).open("ab") as log:
        process = subprocess.Popen(
            (sys.executable, *command),
            env={**os.environ, **environment},
            cwd=cwd or home.path,
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


def _polled(url: str, *, since: datetime) -> set[str]:
    """Names of the deployments for which a runner has asked for work since a time.

    That they exist says nothing: an earlier runner has left them behind.
    """
    request = urllib.request.Request(  # noqa: S310  http on loopback
        f"{url}/api/deployments/filter", data=b"{}", headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310  http on loopback
        found = json.loads(response.read())
    return {
        str(deployment["name"])
        for deployment in found
        if deployment["last_polled"] and datetime.fromisoformat(deployment["last_polled"]) >= since
    }


def _encryption_key(home: Home) -> str:
    """Key of the server's secret blocks, kept outside the server's database."""
    path = home.path / "prefect-encryption-key"
    if not path.exists():
        write_file(path, Fernet.generate_key(), mode=0o600)
    return path.read_text()


def _free_port(wanted: int | None) -> int:
    """The wanted port, or the default one, or any when the default one is taken."""
    for port in (wanted,) if wanted else (DEFAULT_PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
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
