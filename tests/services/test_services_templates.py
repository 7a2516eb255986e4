"""The units of a service, whole; and what systemd and a shell read in them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from quoracy.services.templates import UnitFiles, render_unit, start_words
from tests.service_factories import service

UNIT = """\
# Rendered by Quoracy for service:web; the next redeployment overwrites edits.
[Unit]
Description=web (nodejs service)
After=network-online.target
Wants=network-online.target
RequiresMountsFor=/opt/web
StartLimitIntervalSec=0

[Service]
Type=exec
User=appuser
WorkingDirectory=/opt/web/current
EnvironmentFile=/opt/web/current/.quoracy/environment
EnvironmentFile=-/opt/web/.quoracy/dotenv
ExecStart=/usr/bin/node index.js
Restart=always
RestartSec=1
KillMode=mixed
TimeoutStopSec=10

[Install]
WantedBy=multi-user.target
"""
SOCKET = """\
# Rendered by Quoracy for service:web; the next redeployment overwrites edits.
[Unit]
Description=port of web
StartLimitIntervalSec=0

[Socket]
ListenStream=3000
Service=web.service
TriggerLimitIntervalSec=0

[Install]
WantedBy=sockets.target
"""
WEIRD = {"A": "a b", "B": "$HOME `id` $(id)", "C": "\"'\\ \\n %n %%", "D": "", "E": "é ☃ x #;"}


def exec_start(**settings: Any) -> str:
    lines = render_unit(service(**settings)).unit.splitlines()
    return next(line for line in lines if line.startswith("ExecStart=")).removeprefix("ExecStart=")


def test_a_plain_service_whole() -> None:
    environment = b'NODE_ENV="production"\nZ="true"\nPORT="3000"\nRELEASE="r1"\n'
    wanted = service(container_env={"Z": True, "NODE_ENV": "production"})
    assert render_unit(wanted, "r1") == UnitFiles(UNIT, None, environment)
    assert render_unit(wanted, "r1") == render_unit(wanted, "r1")


def test_without_a_release_the_environment_names_none() -> None:
    assert render_unit(service()).environment == b'PORT="3000"\n'


def test_a_socket_holds_the_port_for_the_service() -> None:
    files = render_unit(service(redeploy={"activation": "socket"}))
    assert files.socket == SOCKET
    assert "Requires=web.socket\nAfter=web.socket\n" in files.unit


def test_nginx_needs_no_unit() -> None:
    assert render_unit(service(service_type="static")) == UnitFiles("", None, b'PORT="3000"\n')


def test_a_low_port_needs_a_capability_unless_systemd_opens_it() -> None:
    line = "AmbientCapabilities=CAP_NET_BIND_SERVICE\n"
    assert line in render_unit(service(app_port=80)).unit
    assert line not in render_unit(service(app_port=80, app_user="root")).unit
    assert line not in render_unit(service(app_port=80, redeploy={"activation": "socket"})).unit


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "/usr/bin/node index.js"),
        ({"app_main_file": "src/server.js"}, "/usr/bin/node src/server.js"),
        ({"nodejs_runtime": "bun"}, "/usr/local/bin/bun run index.js"),
        ({"service_type": "python"}, "/opt/web/current/.venv/bin/python app.py"),
        ({"service_type": "golang"}, "/opt/web/current/web"),
        ({"service_type": "golang", "app_service_name": "api"}, "/opt/web/current/api"),
        (
            {"redeploy": {"start": "node --inspect=0 'a b.js'"}},
            '/usr/bin/node --inspect=0 "a b.js"',
        ),
        (
            {"redeploy": {"start": "bin/run 100% $HOME"}},
            '/opt/web/current/bin/run "100%%" "$$HOME"',
        ),
        ({"redeploy": {"start": "/usr/bin/env a"}}, "/usr/bin/env a"),
        ({"redeploy": {"start": "python3 -m x"}}, "/usr/bin/python3 -m x"),
        (
            {"service_type": "python", "redeploy": {"start": "python -m uvicorn app:app --fd 3"}},
            "/opt/web/current/.venv/bin/python -m uvicorn app:app --fd 3",
        ),
        ({"redeploy": {"start": "node ';' '\"\\'"}}, '/usr/bin/node ";" "\\"\\\\"'),
    ],
)
def test_how_it_is_started(settings: dict[str, Any], expected: str) -> None:
    assert exec_start(**settings) == expected


def test_the_words_are_those_that_were_meant() -> None:
    assert start_words(service(redeploy={"start": "node 'a b' '$x'"})) == (
        "/usr/bin/node",
        "a b",
        "$x",
    )


def test_a_shell_reads_the_environment_as_it_was_meant() -> None:
    environment = render_unit(service(container_env=WEIRD)).environment.decode()
    shown = "".join(f'printf "%s\\0" "${name}"\n' for name in WEIRD)
    done = subprocess.run(
        ["sh", "-s"], input=f"{environment}{shown}", capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\0")[:-1] == list(WEIRD.values())


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
@pytest.mark.parametrize("activation", ["restart", "socket"])
def test_systemd_finds_nothing_wrong(tmp_path: Path, activation: str) -> None:
    # Another user and program: they have to be on this machine.
    start = "/bin/echo 'a b' '$x' 100% ';' '\"\\'"
    files = render_unit(
        service(app_user="daemon", redeploy={"start": start, "activation": activation})
    )
    (tmp_path / "web.service").write_text(files.unit)
    if files.socket:
        (tmp_path / "web.socket").write_text(files.socket)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, tmp_path.iterdir())],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
