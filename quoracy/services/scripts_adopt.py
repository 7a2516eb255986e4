"""The first switch on a host laid out by the original, and its undo. Pure.

What is changed is journalled before, and both may be killed anywhere and run again: the unit's file as
it was, and which shared paths move. The flat files themselves stay where they are.
"""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath

from quoracy.hosts.script import Argv, link, script
from quoracy.services.layout import UNITS, journal_path, socket_name, web_root
from quoracy.services.scripts_owner import (
    LINKS,
    held,
    moved,
    owner_given_back,
    without_traps,
)
from quoracy.services.scripts_switch import (
    aside_web_root,
    bring_up,
    install_units,
    require_complete,
    start_service,
    stopped,
    unproven,
)
from quoracy.services.scripts_unit import require_own_units
from quoracy.services.scripts_user import as_user
from quoracy.services.spec import Service, ServiceType


def adopt_service(service: Service, release: str, flat: str, *, times: str = "") -> str:
    """Journal, stop, move shared paths, and switch to the release; `previous` is the flat copy.

    Args:
        times: As in `switch_release`.
    """
    directory = service.directory
    return script(
        "umask 022",
        require_complete(service, release),
        require_complete(service, flat),
        *require_own_units(service),
        *([times] if times else ()),
        *_journalled(service),
        *stopped(service),
        # From here on nobody makes or renames anything there.
        ("chown", "root:root", directory),
        ("chmod", "u=rwx,go=rx,ug-s,-t", directory),
        *without_traps(service),
        moved(service),
        *(_moved(service, name) for name in service.redeploy.shared),
        *install_units(service, release),
        unproven(service, release),
        link(f"releases/{flat}", f"{directory}/previous"),
        link(f"releases/{release}", f"{directory}/current"),
        *start_service(service),
    )


def release_adopted(service: Service) -> str:
    """Give back shared paths, unit and owner as they were, and start the flat directory.

    The owner comes last: whose directory it is could put another unit in the place of the one that is
    given back.
    """
    directory, journal = service.directory, journal_path(service)
    ended = f"{directory}/.quoracy/adoption-ended"
    return script(
        ("rm", "-rf", ended),
        f"if [ ! -e {journal} ]; then",
        *owner_given_back(service),
        "exit 0",
        "fi",
        f"[ ! -e {journal}/clearing ] || "
        '{ echo "the flat files are being taken away; roll back to their copy" >&2; exit 1; }',
        *stopped(service),
        moved(service),
        f"""while IFS= read -r name; do
    [ ! -e "{directory}/$name" ] && [ ! -L "{directory}/$name" ] || continue
    [ -e "{directory}/shared/$name" ] || [ -L "{directory}/shared/$name" ] || continue
    moved {directory}/shared {directory} "$name"
done < {journal}/shared""",
        f"for each in {' '.join(LINKS)}; do",
        f"[ ! -L {directory}/$each ] || rm -f {directory}/$each; done",
        *held(service),
        *_given_back(service),
        ("mv", "-T", journal, ended),
        ("rm", "-rf", ended),
        *owner_given_back(service),
    )


def _journalled(service: Service) -> tuple[str | Argv, ...]:
    """The journal is there as a whole or not at all, and never written a second time."""
    directory, journal, unit = service.directory, journal_path(service), f"{UNITS}/{service.unit}"
    new = f"{directory}/.quoracy/adoption-new"
    parts: list[str | Argv] = [
        f"if [ ! -e {journal} ]; then",
        ("rm", "-rf", new),
        ("mkdir", "-p", new),
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
    move = shlex.join(("moved", directory, f"{directory}/shared", name))
    return f"""if [ -e {old} ] || [ -L {old} ]; then
    {as_user(service.user, "mkdir", "-p", parent)}
    if [ -d {new} ] && [ ! -L {new} ]; then {as_user(service.user, "rmdir", "--ignore-fail-on-non-empty")} {new}; fi
    if [ -e {new} ] || [ -L {new} ]; then echo {both} >&2; exit 1; fi
    {move}
fi"""


def _given_back(service: Service) -> tuple[str | Argv, ...]:
    """Unit and web root as they were, and the service started."""
    if service.type is ServiceType.STATIC:
        root, aside = web_root(service), aside_web_root(service)
        return (
            f"if [ -e {journal_path(service)}/web-root ] && [ -d {aside} ]; then",
            ("rm", "-f", root),
            ("mv", "-T", aside, root),
            "fi",
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
