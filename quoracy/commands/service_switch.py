"""How a host goes from one complete release to another, and back: units, link, restart. Pure.

Everything that takes time is done before the restart. A switch may be killed anywhere and run again.
"""

from __future__ import annotations

from quoracy.commands.script import Argv, link, script
from quoracy.commands.service_layout import UNITS, release_path, socket_name, web_root
from quoracy.commands.service_user import in_sandbox
from quoracy.spec.service import Service, ServiceType

JOURNAL_LINES = 10
# The service's environment comes through standard input: its file belongs to root.
_HOOK = (
    'set -a; eval "$(cat)"; set +a; exec </dev/null; '
    'if [ -x "$0" ]; then exec "$0"; else exec sh "$0"; fi'
)


def switch_release(service: Service, release: str) -> str:
    """Let unit and link follow a complete release, and restart the service.

    `previous` is written first. Where it led before is kept beside it for `switch_back`.
    """
    return script(
        require_complete(service, release),
        *install_units(service, release),
        unproven(service, release),
        _follow(service, release),
        *start_service(service),
    )


def switch_back(service: Service, release: str, failed: str) -> str:
    """Let unit and link follow the release that served before; `previous` is what it was then."""
    directory = service.directory
    older = f"{directory}/.quoracy/older"
    return script(
        require_complete(service, release),
        *install_units(service, release),
        link(f"releases/{release}", f"{directory}/current"),
        f'before=$(readlink {older}) || before=""',
        f'if [ "$(readlink {directory}/previous)" = releases/{release} ]; then',
        f'if [ -n "$before" ] && [ "$before" != releases/{failed} ]; then',
        f'ln -s -f -n "$before" {directory}/previous.quoracy-new',
        ("mv", "-f", "-T", f"{directory}/previous.quoracy-new", f"{directory}/previous"),
        f"else rm -f {directory}/previous; fi",
        "fi",
        ("rm", "-f", older),
        *start_service(service),
    )


def run_hook(service: Service, host: str, release: str, previous: str, path: str) -> str:
    """Run a script of the release as the service's user, with the service's environment.

    Args:
        path: The hook, relative to the release; it is run by sh when it may not be executed itself.
    """
    directory = release_path(service, release)
    return script(
        require_complete(service, release),
        in_sandbox(
            service.user,
            directory,
            ("sh", "-c", _HOOK, f"./{path}"),
            service.redeploy.hook_timeout,
            what=f"the hook {path}",
            variables={
                "QUORACY_SERVICE": service.name,
                "QUORACY_HOST": host,
                "QUORACY_RELEASE": release,
                "QUORACY_PREVIOUS": previous,
            },
            stdin=f"{directory}/.quoracy/environment",
        ),
    )


def mark_healthy(service: Service, release: str) -> str:
    """Note in the release that it is proven; the gate does it, too, when no hook comes after it."""
    return script(f": > {release_path(service, release)}/.quoracy/healthy")


def unproven(service: Service, release: str) -> str:
    """What a release proved earlier does not count: it has to pass the gate each time it is switched to.

    But for the one that is put back: cut off there, it must stay the one to go back to.
    """
    return f"rm -f {release_path(service, release)}/.quoracy/healthy"


def install_units(service: Service, release: str) -> tuple[str | Argv, ...]:
    """Fragments that install the release's units where they differ; systemd reads them again then.

    A socket unit that comes, goes or has another port: both units are stopped, as only one of them
    can hold the port.
    """
    if service.type is ServiceType.STATIC:
        return ()
    unit, socket = service.unit, socket_name(service)
    own = f"{release_path(service, release)}/.quoracy"
    return (
        "changed=no",
        f"""put() {{
    [ "$(cat {own}/$1)" != "$(cat {UNITS}/$2 2>/dev/null)" ] || return 0
    install -m 0644 {own}/$1 {UNITS}/$2.quoracy-new
    sync {UNITS}/$2.quoracy-new
    mv -f -T {UNITS}/$2.quoracy-new {UNITS}/$2
    changed=yes
}}""",
        f"if [ -e {own}/socket ]; then",
        f'if [ "$(cat {own}/socket)" != "$(cat {UNITS}/{socket} 2>/dev/null)" ]; then',
        *stopped(service),
        "fi",
        f"put socket {socket}",
        f"elif [ -e {UNITS}/{socket} ]; then",
        *stopped(service),
        ("systemctl", "disable", "--quiet", socket),
        ("rm", "-f", f"{UNITS}/{socket}"),
        "changed=yes",
        "fi",
        f"put unit {unit}",
        # A run that was killed may have installed it and no more.
        f"[ $changed = yes ] || case $(systemctl show -p NeedDaemonReload {unit} {socket}) in",
        "*=yes*) changed=yes ;; esac",
        "[ $changed = no ] || systemctl daemon-reload",
        # Enabling makes systemd read all units again, each time.
        _enabled(unit, "multi-user"),
        f"[ ! -e {own}/socket ] || {_enabled(socket, 'sockets')}",
    )


def stopped(service: Service) -> tuple[str | Argv, ...]:
    """Fragments after which nothing of the service runs; nginx serves others, too."""
    if service.type is ServiceType.STATIC:
        return ()
    unit, socket = service.unit, socket_name(service)
    return (
        f"[ ! -e {UNITS}/{socket} ] || systemctl stop {socket}",
        # A unit that is not there cannot be stopped; what counts is that no process is left.
        f"systemctl stop {unit} 2>/dev/null || :",
        f'[ "$(systemctl show --value -p MainPID {unit})" = 0 ]',
    )


def start_service(service: Service) -> tuple[str | Argv, ...]:
    """Fragments that start the service anew; its socket stays open when it has one."""
    unit, socket = service.unit, socket_name(service)
    if service.type is ServiceType.STATIC:
        return (
            *follow_web_root(service),
            f"systemctl is-active --quiet {unit} || {bring_up(unit, 'start')}",
        )
    return (
        f"systemctl reset-failed {unit} 2>/dev/null || :",
        f"if [ -e {UNITS}/{socket} ] && ! systemctl is-active --quiet {socket}; then",
        f"systemctl stop {unit}",
        f"systemctl reset-failed {socket} 2>/dev/null || :",
        bring_up(socket, "start"),
        "fi",
        bring_up(unit, "restart"),
    )


def follow_web_root(service: Service) -> tuple[str | Argv, ...]:
    """static: fragments that let nginx's directory lead to whatever release is current.

    A directory that stands there is moved aside, and stays until the flat files are cleared.
    """
    root = web_root(service)
    target = f"{service.directory}/current/.quoracy/public"
    return (
        ("mkdir", "-p", "/var/www"),
        f'if [ "$(readlink {root})" != {target} ]; then',
        f"if [ -d {root} ] && [ ! -L {root} ]; then mv -T {root} {aside_web_root(service)}; fi",
        link(target, root),
        "fi",
    )


def aside_web_root(service: Service) -> str:
    """Where the directory is moved that nginx served before."""
    return f"{web_root(service)}.before-quoracy"


def require_complete(service: Service, release: str) -> str:
    """Fragment that stops when a release is not there."""
    marker = f"{release_path(service, release)}/.quoracy/complete"
    return f'[ -e {marker} ] || {{ echo "release {release} is not there" >&2; exit 1; }}'


def _follow(service: Service, release: str) -> str:
    directory, target = service.directory, f"releases/{release}"
    older = f"{directory}/.quoracy/older"
    return f"""now=$(readlink {directory}/current) || now=''
if [ "$now" != {target} ]; then
    before=$(readlink {directory}/previous) || before=''
    if [ -n "$now" ] && [ "$before" != "$now" ]; then
        if [ -n "$before" ]; then ln -s -f -n "$before" {older}; else rm -f {older}; fi
        ln -s -f -n "$now" {directory}/previous.quoracy-new
        mv -f -T {directory}/previous.quoracy-new {directory}/previous
    fi
fi
{link(target, f"{directory}/current")}"""


def _enabled(unit: str, target: str) -> str:
    return f"[ -e {UNITS}/{target}.target.wants/{unit} ] || systemctl enable --quiet {unit}"


def bring_up(unit: str, verb: str) -> str:
    """systemd only says that it failed; why stands in the unit's own last lines."""
    return (
        f"systemctl {verb} {unit} 2>/dev/null || {{ "
        f"journalctl -u {unit} -n {JOURNAL_LINES} --no-pager -o cat >&2; exit 1; }}"
    )
