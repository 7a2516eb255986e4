"""What a stranger tries at a controller: a user of the machine, and a web page in its operator's browser."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from quoracy.login import login_file
from quoracy.prefect.up import RUNNER, SERVER, read_service
from tests.controller_up import Up
from tests.loopback import serving

NOBODY = 65534
# With nothing but the system's own Python, as another user of the machine has it.
_NEIGHBOUR = """
import json, sys, urllib.error, urllib.request
told = json.load(sys.stdin)
def call(url, data=None, **headers):
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code
def read(path):
    try:
        with open(path, "rb") as file:
            return len(file.read())
    except OSError as error:
        return type(error).__name__
out = {"url " + what: call(*one) for what, one in (
    (path, (told["api"] + path, None if body is None else json.dumps(body).encode()))
    for path, body in told["calls"].items()
)}
out["foreign name"] = call(told["api"] + "/health", None, Host="evil.example")
out |= {"file " + path: read(path) for path in told["files"]}
print(json.dumps(out))
"""
_PAGE = """
(async () => {
  const told = %s, out = {};
  const post = (path, more) => fetch(told.api + path, {method: "POST", body: told.body, ...more});
  const json = {headers: {"Content-Type": "application/json"}};
  const attempt = async (what, act) => {
    try { out[what] = await act(); } catch (error) { out[what] = error.name; }
  };
  const greet = (path, protocols) => new Promise((resolve) => {
    const socket = new WebSocket(told.api.replace("http", "ws") + path, protocols);
    socket.onopen = () => socket.send(JSON.stringify({type: "auth", token: "ann:guess"}));
    socket.onmessage = () => resolve("let in");
    socket.onclose = () => resolve("closed");
  });
  await attempt("read", async () => (await fetch(told.api + "/deployments/" + told.id)).status);
  await attempt("start", async () => (await post(told.start, json)).status);
  await attempt("start blindly", async () => (await post(told.start, {mode: "no-cors"})).type);
  await attempt("ask for a token", async () => (await fetch(told.api + "/csrf-token?client=x")).status);
  await attempt("events", () => greet("/events/out", ["prefect"]));
  await attempt("logs", () => greet("/logs/out", ["prefect"]));
  await attempt("events without a word", () => greet("/events/in", []));
  await attempt("password", async () => localStorage.getItem("prefect-password"));
  const form = document.createElement("form");
  form.method = "POST", form.action = told.api + told.start, form.enctype = "text/plain";
  form.innerHTML = '<input name=\\'{"parameters": {"cluster": "demo"}, "x": "\\' value=\\'"}\\'>';
  const frame = document.createElement("iframe");
  frame.name = form.target = "frame";
  document.body.append(frame, form);
  await new Promise((resolve) => { frame.onload = resolve; form.submit(); });
  return out;
})()
"""


def as_nobody(up: Up, deployment: str) -> dict[str, Any]:
    """What came of it when another user of the machine tried everything that he can reach."""
    run = {"parameters": {"cluster": "demo"}}
    services = [service for name in (SERVER, RUNNER) if (service := read_service(up.home, name))]
    told = {
        "api": f"{up.url}/api",
        "calls": {
            "/deployments/filter": {},
            f"/deployments/{deployment}/create_flow_run": run,
            "/block_documents/filter": {"include_secrets": True},
            "/flow_runs/filter": {},
            "/logs/filter": {},
            "/admin/settings": None,
            "/csrf-token?client=x": None,
        },
        "files": [
            str(login_file(up.home)),
            str(up.home.prefect / "prefect.db"),
            *(f"/proc/{service.pid}/environ" for service in services),
        ],
    }
    python = shutil.which("python3", path="/usr/bin:/bin")
    assert python
    done = subprocess.run(
        (python, "-c", _NEIGHBOUR),
        input=json.dumps(told).encode(),
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        cwd="/",
        env={},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def page_script(api: str, deployment: str) -> str:
    """What a page runs; its value is what came of each attempt."""
    told = {
        "api": api,
        "id": deployment,
        "start": f"/deployments/{deployment}/create_flow_run",
        "body": json.dumps({"parameters": {"cluster": "demo"}}),
    }
    return _PAGE % json.dumps(told)


class _Empty(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>free pictures</title>")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def site_of_another_origin() -> Iterator[str]:
    """A web site on loopback."""
    with serving(_Empty) as url:
        yield url
