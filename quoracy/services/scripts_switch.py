"""How a host goes from one complete release to another, and back: units, link, restart. Pure.

Everything that takes time is done before the restart. A switch may be killed anywhere and run again.
"""

from __future__ import annotations

from quoracy.hosts.script import Argv, link, script
from quoracy.services.layout import (
    UNITS,
    journal_path,
    public_path,
    release_path,
    socket_name,
    web_root,
)
from quoracy.services.scripts_made import MADE, is_complete
from quoracy.services.scripts_owner import require_root_owned
from quoracy.services.scripts_process import dotenv_copied, rest_ended
from quoracy.services.scripts_unit import require_own_units
from quoracy.services.scripts_user import in_sandbox
from quoracy.services.spec import Service, ServiceType

JOURNAL_LINES = 10
# The service's environment comes through standard input: its file belongs to root.
_HOOK = (
    'set -a; eval "$(cat)"; set +a; exec </dev/null; '
    'if [ -x "$0" ]; then exec "$0"; else exec sh "$0"; fi'
)


def switch_release(service: Service, release: str, *, times: str = "") -> str:
    """Let unit and link follow a complete release, and restart the service.

    `previous` is written first. Where it led before is kept beside it for `switch_back`.

    Args:
        times: Fragment that makes its files newer than what serves (`quoracy.services.scripts_times`).
    """
    return script(
        require_complete(service, release),
        *require_own_units(service),
        *([times] if times else ()),
        *install_units(service, release),
        unproven(service, release),
        _follow(service, release),
        *start_service(service),
    )


def switch_back(service: Service, release: str, failed: str, *, times: str = "") -> str:
    """Let unit and link follow the release that served before; `previous` is what it was then.

    Args:
        times: As in `switch_release`, once it serves: whether it comes back does not depend on them.
    """
    directory = service.directory
    older = f"{directory}/.quoracy/older"
    return script(
        require_complete(service, release),
        *install_units(service, release),
        unproven(service, release),
        link(f"releases/{release}", f"{directory}/current"),
        f'before=$(readlink {older}) || before=""',
        f'if [ "$(readlink {directory}/previous)" = releases/{release} ]; then',
        f'if [ -n "$before" ] && [ "$before" != releases/{failed} ]; then',
        f'ln -s -f -n "$before" {directory}/previous.quoracy-new',
        ("mv", "-f", "-T", f"{directory}/previous.quoracy-new", f"{directory}/previous"),
        f"else rm -f {directory}/previous; fi",
        "fi",
        ("rm", "-f", older),
        # With a socket unit systemd holds the port, and what connects waits for a restart.
        f"if [ ! -e {UNITS}/{socket_name(service)} ]; then",
        ":",
        *stopped(service),
        "fi",
        *start_service(service, must_read=False),
        *([f"(\n{times}\n) || :"] if times else ()),
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
    """It has to pass the gate each time it is switched to; that it did before is remembered."""
    own = f"{release_path(service, release)}/.quoracy"
    return f"[ ! -e {own}/healthy ] || mv -f {own}/healthy {own}/proven"


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
        rest_ended(service),
    )


def start_service(service: Service, *, must_read: bool = True) -> tuple[str | Argv, ...]:
    """Fragments that start the service anew; its socket stays open when it has one.

    Args:
        must_read: Whether a `shared/.env` that cannot be read stops it.
    """
    unit, socket = service.unit, socket_name(service)
    if service.type is ServiceType.STATIC:
        return (
            *follow_web_root(service),
            f"systemctl is-active --quiet {unit} || {bring_up(unit, 'start')}",
        )
    return (
        dotenv_copied(service, must_read=must_read),
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

    The original's directory is moved aside in an adoption, and stays until the flat files are cleared.
    """
    root, journal = web_root(service), journal_path(service)
    target = public_path(service)
    return (
        ("mkdir", "-p", "/var/www"),
        f'if [ "$(readlink {root})" != {target} ]; then',
        f"""if [ -e {root} ] && [ ! -L {root} ] && ! rmdir {root} 2>/dev/null; then
    [ -d {root} ] && [ -e {journal} ] || {{ echo "{root} is in the way: Quoracy has not made it" >&2; exit 1; }}
    : > {journal}/web-root
    mv -T {root} {aside_web_root(service)}
fi""",
        link(target, root),
        "fi",
    )


def aside_web_root(service: Service) -> str:
    """Where the directory is moved that nginx served before."""
    return f"{web_root(service)}.before-quoracy"


def require_complete(service: Service, release: str) -> str:
    """Fragment that stops when a release is not there, not ours, or others than root could have put it there."""
    there = is_complete(service, release)
    missing = f'{{ {there}; }} || {{ echo "release {release} is not there" >&2; exit 1; }}'
    return f"{missing}\n{require_root_owned(service, release)}"


def _follow(service: Service, release: str) -> str:
    """`previous` is what serves until then, unless only the one before that has ever been healthy."""
    directory, target = service.directory, f"releases/{release}"
    older = f"{directory}/.quoracy/older"
    return f"""proven() {{
    [ "$1" = releases/flat ] || [ -e {directory}/$1/.quoracy/healthy ] || [ -e {directory}/$1/.quoracy/proven ]
}}
# A link that somebody has led elsewhere is nothing to go back to.
ours() {{ [ -n "$1" ] && [ -e "{directory}/{MADE}/$1" ]; }}
now=$(readlink {directory}/current) || now=''
if [ "$now" != {target} ]; then
    before=$(readlink {directory}/previous) || before=''
    if ours "$now" && [ "$before" != "$now" ] \\
        && {{ [ "$before" = {target} ] || proven "$now" || ! proven "$before"; }}; then
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
