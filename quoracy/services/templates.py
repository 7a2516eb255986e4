"""Spec to files: the systemd units of a service and its environment, as text. Pure.

The same spec and release give the same text, on every controller.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from quoracy.services.layout import dotenv_path
from quoracy.services.spec import Service, ServiceType

PRIVILEGED_PORTS = 1024
_MADE_FOR = "# Rendered by Quoracy for "
_INTERPRETERS = {"node": "/usr/bin/node", "bun": "/usr/local/bin/bun"}
_PYTHONS = ("python", "python3")
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_./:=@,+-]+")
# In double quotes both systemd (EnvironmentFile= in systemd.exec(5)) and sh take a backslash away
# before these, and before nothing else.
_QUOTED_IN_ENVIRONMENT = re.compile(r'(["\\`$])')


@dataclass(frozen=True, slots=True)
class UnitFiles:
    """What systemd is given for one release.

    Attributes:
        unit: Text of the service's unit; "" when nginx serves it.
        socket: Text of the socket unit; None when the service opens its port itself.
        environment: The file that EnvironmentFile= names; it may hold secrets.
    """

    unit: str
    socket: str | None
    environment: bytes


def render_unit(service: Service, release: str = "") -> UnitFiles:
    """The unit files of a release; without one, RELEASE is left out of the environment."""
    environment = _environment(service, release)
    if service.type is ServiceType.STATIC:
        return UnitFiles("", None, environment)
    return UnitFiles(_unit(service), _socket(service), environment)


def start_words(service: Service) -> tuple[str, ...]:
    """The command line that starts the service, its program with an absolute path."""
    current = f"{service.directory}/current"
    if service.redeploy.start:
        program, *arguments = shlex.split(service.redeploy.start)
        return (_program(service, program), *arguments)
    if service.type is ServiceType.PYTHON:
        return (_program(service, "python"), service.main_file or "app.py")
    if service.type is ServiceType.GOLANG:
        return (f"{current}/{service.unit.removesuffix('.service')}",)
    main = service.main_file or "index.js"
    if service.nodejs_runtime == "bun":
        return (_INTERPRETERS["bun"], "run", main)
    return (_INTERPRETERS["node"], main)


def made_for(line: str) -> str:
    """The subject that the first line of a unit names; "" when it is not one of ours."""
    return line.removeprefix(_MADE_FOR).partition(";")[0] if line.startswith(_MADE_FOR) else ""


def mark_of(service: Service) -> str:
    """How the first line of a unit begins that was made for a service: another one could have its name."""
    return f"{_MADE_FOR}{service.subject};"


def _mark(service: Service) -> str:
    return f"{mark_of(service)} the next redeployment overwrites edits."


def _program(service: Service, word: str) -> str:
    current = f"{service.directory}/current"
    if word in _PYTHONS:
        return f"{current}/.venv/bin/python" if service.type is ServiceType.PYTHON else _SYSTEM
    return _INTERPRETERS.get(word) or (word if word.startswith("/") else f"{current}/{word}")


_SYSTEM = "/usr/bin/python3"


def _unit(service: Service) -> str:
    directory, socket = service.directory, service.socket
    program, *arguments = start_words(service)
    # `$` is expanded in arguments only (systemd.service(5)).
    command = " ".join((_word(program), *(_word(each.replace("$", "$$")) for each in arguments)))
    held = (f"Requires={socket}", f"After={socket}") if socket else ()
    low_port = (service.port or 0) < PRIVILEGED_PORTS and not socket and service.user != "root"
    return _lines(
        _mark(service),
        "[Unit]",
        f"Description={service.name} ({service.type} service)",
        "After=network-online.target",
        "Wants=network-online.target",
        *held,
        f"RequiresMountsFor={directory}",
        # A crash loop must not make the way back fail: systemd would refuse the next start.
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        "Type=exec",
        f"User={service.user}",
        f"WorkingDirectory={directory}/current",
        f"EnvironmentFile={directory}/current/.quoracy/environment",
        # Not shared/.env itself: root reads it, and the service could put a link to another's file there.
        f"EnvironmentFile=-{dotenv_path(service)}",
        f"ExecStart={command}",
        "Restart=always",
        "RestartSec=1",
        "KillMode=mixed",
        f"TimeoutStopSec={service.redeploy.stop_timeout}",
        *(("AmbientCapabilities=CAP_NET_BIND_SERVICE",) if low_port else ()),
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    )


def _socket(service: Service) -> str | None:
    if service.socket is None:
        return None
    return _lines(
        _mark(service),
        "[Unit]",
        f"Description=port of {service.name}",
        # The rate at which a crashing service is started must not close the port.
        "StartLimitIntervalSec=0",
        "",
        "[Socket]",
        f"ListenStream={service.port}",
        f"Service={service.unit}",
        "TriggerLimitIntervalSec=0",
        "",
        "[Install]",
        "WantedBy=sockets.target",
    )


def _environment(service: Service, release: str) -> bytes:
    variables: dict[str, str | int | bool] = dict(sorted(service.environment.items()))
    if service.port is not None:
        variables["PORT"] = service.port  # the gate asks there
    if release:
        variables["RELEASE"] = release
    return _lines(*(_assignment(name, value) for name, value in variables.items())).encode()


def _assignment(name: str, value: str | int | bool) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    quoted = _QUOTED_IN_ENVIRONMENT.sub(r"\\\1", text)
    return f'{name}="{quoted}"'


def _word(text: str) -> str:
    """One word of a command line as systemd.service(5) reads it; `%` begins a specifier."""
    text = text.replace("%", "%%")
    if _PLAIN_WORD.fullmatch(text):
        return text
    return '"{}"'.format(text.replace("\\", "\\\\").replace('"', '\\"'))


def _lines(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)
