"""The first switch on a host laid out by the original, and its undo. Pure.

What is changed is journalled before, and both may be killed anywhere and run again: the unit's file as
it was, the directory's owner, and which shared paths move. The flat files themselves stay where they are.
"""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath

from quoracy.commands.script import Argv, link, script
from quoracy.commands.service_layout import UNITS, journal_path, socket_name, web_root
from quoracy.commands.service_switch import (
    aside_web_root,
    bring_up,
    install_units,
    require_complete,
    start_service,
    stopped,
)
from quoracy.commands.service_user import as_user
from quoracy.spec.service import Service, ServiceType

# With what a run that was killed while it made one has left.
_LINKS = ("current", "previous", "current.quoracy-new", "previous.quoracy-new")


def adopt_service(service: Service, release: str, flat: str) -> str:
    """Journal, stop, move shared paths, and switch to the release; `previous` is the flat copy."""
    directory = service.directory
    return script(
        "umask 022",
        require_complete(service, release),
        require_complete(service, flat),
        *_journalled(service),
        *stopped(service),
        *(_moved(service, name) for name in service.redeploy.shared),
        ("chown", "root:root", directory),
        ("chmod", "0755", directory),
        *install_units(service, release),
        link(f"releases/{flat}", f"{directory}/previous"),
        link(f"releases/{release}", f"{directory}/current"),
        *start_service(service),
    )


def release_adopted(service: Service) -> str:
    """Give back shared paths, unit and owner as the journal says, and start the flat directory."""
    directory, journal = service.directory, journal_path(service)
    ended = f"{directory}/.quoracy/adoption-ended"
    return script(
        ("rm", "-rf", ended),
        f"[ -e {journal} ] || exit 0",
        f"[ ! -e {journal}/clearing ] || "
        '{ echo "the flat files are being taken away; roll back to their copy" >&2; exit 1; }',
        *stopped(service),
        f"""while IFS= read -r name; do
    [ ! -e "{directory}/$name" ] && [ ! -L "{directory}/$name" ] || continue
    [ ! -e "{directory}/shared/$name" ] && [ ! -L "{directory}/shared/$name" ] \\
        || mv -T "{directory}/shared/$name" "{directory}/$name"
done < {journal}/shared""",
        ("rm", "-f", *(f"{directory}/{name}" for name in _LINKS)),
        f"read -r owner mode < {journal}/owner",
        f'chown "$owner" {directory}',
        f'chmod "$mode" {directory}',
        *_given_back(service),
        ("mv", "-T", journal, ended),
        ("rm", "-rf", ended),
    )


def _journalled(service: Service) -> tuple[str | Argv, ...]:
    """The journal is there as a whole or not at all, and never written a second time."""
    directory, journal, unit = service.directory, journal_path(service), f"{UNITS}/{service.unit}"
    new = f"{directory}/.quoracy/adoption-new"
    parts: list[str | Argv] = [
        f"if [ ! -e {journal} ]; then",
        ("rm", "-rf", new),
        ("mkdir", "-p", new),
        f"stat -c '%u:%g %a' {directory} > {new}/owner",
        f": > {new}/shared",
    ]
    if service.type is not ServiceType.STATIC:
        parts.append(f"if [ -e {unit} ] || [ -L {unit} ]; then cp -a {unit} {new}/unit; fi")
        parts.append(f"if [ -e {_wanted(service)} ]; then : > {new}/enabled; fi")
    for name in service.redeploy.shared:
        path = shlex.quote(f"{directory}/{name}")
        told = f"printf '%s\\n' {shlex.quote(name)} >> {new}/shared"
        parts.append(f"if [ -e {path} ] || [ -L {path} ]; then {told}; fi")
    return (*parts, ("sync", "-f", new), ("mv", "-T", new, journal), "fi")


def _wanted(service: Service) -> str:
    """The link that makes systemd start the unit at boot."""
    return f"{UNITS}/multi-user.target.wants/{service.unit}"


def _moved(service: Service, name: str) -> str:
    """A shared path that is still in the flat directory moves; where there is another one it stops."""
    directory = service.directory
    old, new = shlex.quote(f"{directory}/{name}"), shlex.quote(f"{directory}/shared/{name}")
    parent = str(PurePosixPath(f"{directory}/shared/{name}").parent)
    both = shlex.quote(f"{name} is in {directory} and in {directory}/shared; remove one of them")
    return f"""if [ -e {old} ] || [ -L {old} ]; then
    {as_user(service.user, "mkdir", "-p", parent)}
    if [ -d {new} ] && [ ! -L {new} ]; then rmdir --ignore-fail-on-non-empty {new}; fi
    if [ -e {new} ] || [ -L {new} ]; then echo {both} >&2; exit 1; fi
    mv -T {old} {new}
fi"""


def _given_back(service: Service) -> tuple[str | Argv, ...]:
    """Unit and web root as they were, and the service started."""
    if service.type is ServiceType.STATIC:
        root, aside = web_root(service), aside_web_root(service)
        return (
            f"if [ -d {aside} ]; then rm -f {root}; mv -T {aside} {root}; fi",
            f"systemctl is-active --quiet {service.unit} || {bring_up(service.unit, 'start')}",
        )
    journal, unit = f"{journal_path(service)}/unit", f"{UNITS}/{service.unit}"
    socket = socket_name(service)
    return (
        f"if [ -e {UNITS}/{socket} ]; then",
        ("systemctl", "disable", "--quiet", socket),
        ("rm", "-f", f"{UNITS}/{socket}"),
        "fi",
        f"if [ -e {journal} ] || [ -L {journal} ]; then",
        ("cp", "-a", journal, f"{unit}.quoracy-new"),
        ("mv", "-f", "-T", f"{unit}.quoracy-new", unit),
        f"else rm -f {unit}; fi",
        f"[ -e {journal_path(service)}/enabled ] || rm -f {_wanted(service)}",
        ("systemctl", "daemon-reload"),
        f"systemctl reset-failed {service.unit} 2>/dev/null || :",
        f'[ -z "$(systemctl show --value -p FragmentPath {service.unit})" ] || '
        f"{bring_up(service.unit, 'start')}",
    )
