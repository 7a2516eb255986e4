"""What a service's process is given at a start, and what one that was stopped leaves. Pure."""

from __future__ import annotations

from quoracy.services.layout import dotenv_path
from quoracy.services.scripts_user import as_user
from quoracy.services.spec import Service

DOTENV_BYTES = 1024**2
"""A copy of it is made as root: it must not fill the disk."""


def dotenv_copied(service: Service, *, must_read: bool) -> str:
    """Fragment that makes root's copy of `shared/.env`, read as the service's user.

    systemd reads what a unit names as root, also when it restarts the service by itself: in a directory
    of the service's that could be a link to a file of root's. No process is started without that file.

    Args:
        must_read: Whether one that cannot be read stops the script; else the last copy stays.
    """
    source, copy = f"{service.directory}/shared/.env", dotenv_path(service)
    new = f"{copy}.quoracy-new"
    read = as_user(service.user, "head", "-c", str(DOTENV_BYTES + 1), source)
    told = f"""
        [ $why = large ] || echo "{source} cannot be read by {service.user}: give it to that user" >&2
        [ $why != large ] || echo "{source} is larger than 1 MiB" >&2
        exit 1"""
    failed = f"rm -f {new}{told if must_read else ''}"
    return f"""if [ -f {source} ]; then
    why=unreadable
    if (umask 077; {read} > {new}); then
        [ $(stat -c %s {new}) -gt {DOTENV_BYTES} ] && why=large || why=''
    fi
    if [ -z "$why" ]; then sync {new}; mv -f -T {new} {copy}
    else
        {failed}
    fi
elif [ -e {copy} ]; then rm -f {copy}; fi"""


def rest_ended(service: Service) -> str:
    """Fragment that ends what a stop has left: units of others may have KillMode=process or none.

    It would hold the port, and go on writing to files that are about to move.
    """
    unit, tenths = service.unit, 10 * service.redeploy.stop_timeout
    return f"""group=$(systemctl show --value -p ControlGroup {unit})
for procs in "/sys/fs/cgroup$group/cgroup.procs" "/sys/fs/cgroup/systemd$group/cgroup.procs"; do
    [ -n "$group" ] && [ -e "$procs" ] && read -r _ < "$procs" || continue
    systemctl kill {unit} 2>/dev/null || :
    i=0
    while [ $i -lt {tenths} ] && read -r _ 2>/dev/null < "$procs"; do sleep 0.1; i=$((i + 1)); done
    [ $i -lt {tenths} ] || systemctl kill -s KILL {unit} 2>/dev/null || :
done"""
