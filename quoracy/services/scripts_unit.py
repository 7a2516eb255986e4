"""Which unit a service may stop and replace: one of ours, or one that starts what lies in its directory. Pure.

`app_service_name: ssh` names a unit, too. The plan asks whose it is; right before the first of its units is
stopped the script asks again.
"""

from __future__ import annotations

from quoracy.services.layout import UNITS, socket_name
from quoracy.services.spec import Service, ServiceType
from quoracy.services.templates import mark_of


def of_directory(service: Service) -> str:
    """Function `of_directory`: whether the unit's file starts what lies in the directory; no process for it."""
    directory = service.directory
    ends = "[!A-Za-z0-9._-]"
    return f"""of_directory() {{
    real=$(cd {directory} 2>/dev/null && pwd -P) || real={directory}
    while read -r line || [ -n "$line" ]; do
        case $line in WorkingDirectory=*|ExecStart=*) ;; *) continue ;; esac
        for at in {directory} "$real"; do
            case $line/ in *[!A-Za-z0-9._/]"$at"{ends}*) return 0 ;; esac
        done
    done < {UNITS}/{service.unit}
    return 1
}}"""


def require_own_units(service: Service) -> tuple[str, ...]:
    """Fragments that stop when unit or socket are somebody else's; nginx is, and is never stopped.

    Where ours are installed already no process is started.
    """
    if service.type is ServiceType.STATIC:
        return ()
    unit, socket = service.unit, socket_name(service)
    return (
        of_directory(service),
        f"""ours() {{
    [ -f {UNITS}/$1 ] && [ ! -L {UNITS}/$1 ] && read -r line < {UNITS}/$1 || return 1
    case $line in "{mark_of(service)}"*) ;; *) return 1 ;; esac
}}
adopted() {{
    [ -e {UNITS}/{unit} ] && of_directory && [ "$(systemctl show --value -p Id {unit})" = {unit} ]
}}
absent() {{
    [ ! -e {UNITS}/$1 ] && [ ! -L {UNITS}/$1 ] || return 1
    told=$(systemctl show -p LoadState,MainPID $1)
    case $told in *LoadState=not-found*) ;; *) return 1 ;; esac
    case "$told " in *MainPID=0[!0-9]*) ;; *) return 1 ;; esac
}}
not_ours() {{ echo "the unit $1 is not this service's, and is left alone" >&2; exit 1; }}
ours {unit} || adopted || absent {unit} || not_ours {unit}
[ ! -e {UNITS}/{socket} ] || ours {socket} || not_ours {socket}""",
    )
