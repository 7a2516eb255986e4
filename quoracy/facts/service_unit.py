"""A service's unit as systemd shows it, and whose the sockets on its port are: for look and gate. Pure."""

from __future__ import annotations

from quoracy.commands.service_layout import socket_name
from quoracy.spec.service import Service, ServiceType


def unit_shown(service: Service) -> str:
    """Fragment that prints unit and socket unit, a block each; it leaves `show`, and the main process in `p`."""
    names = service.unit
    if service.type is not ServiceType.STATIC:
        names += f" {socket_name(service)}"
    return f"""show=$(systemctl show -p Id,ActiveState,SubState,MainPID,NRestarts,ControlGroup,Listen {names})
printf '%s\\n\\n' "$show"
p=${{show#*MainPID=}}; p=${{p%%[!0-9]*}}"""


def sockets_held(service: Service) -> str:
    """Fragment that puts the unit's sockets into `held`: lines `own=socket:[inode]`, and `old=…`.

    A socket is the unit's own when a process of its control group holds it, or systemd while its socket
    unit has the service's port: systemd holds those of all socket units. A process that is older than
    the main one was left by an earlier start (KillMode=process leaves them, systemd.kill(5)): what it
    holds is old, whoever else holds it. The times are those of proc(5), in ticks since boot. `ss` need
    not be there, and the shell starts one process for it all.
    """
    by_systemd = (
        ""
        if service.type is ServiceType.STATIC
        else f"""case $show in
*:{service.port}' (Stream)'*) [ "$active" != active ] || set -- "$@" /proc/1/fd ;;
esac
"""
    )
    return f"""nl='
'
group=${{show#*ControlGroup=}}; group=${{group%%"$nl"*}}
active=${{show##*ActiveState=}}; active=${{active%%"$nl"*}}
procs=/sys/fs/cgroup$group/cgroup.procs
[ -e "$procs" ] || procs=/sys/fs/cgroup/systemd$group/cgroup.procs
born() {{
    read -r stat 2>/dev/null < "/proc/$1/stat" || return 1
    set -- ${{stat##*) }}
    born=${{20}}
}}
born=0; [ "$p" = 0 ] || born "$p" || :
since=$born
set --
[ "$p" = 0 ] || set -- "/proc/$p/fd"
[ -z "$group" ] || while read -r q; do
    born "$q" || continue
    if [ "$born" -ge "$since" ]; then set -- "$@" "/proc/$q/fd"; else set -- "$@" "/proc/./$q/fd"; fi
done < "$procs" || :
{by_systemd}held=
[ $# = 0 ] || held=$(find "$@" -maxdepth 1 -lname 'socket:*' \\
    \\( -path '/proc/./*' -printf 'old=%l\\n' -o -printf 'own=%l\\n' \\) 2>/dev/null) || :"""


def listeners(port: int) -> str:
    """Command that prints the sockets in state LISTEN on the port; the tenth field is the inode."""
    # State 0A, in /proc/net/tcp: proc(5).
    return f"grep -h ':{port:04X} [0-9A-F]*:0000 0A ' /proc/net/tcp /proc/net/tcp6 2>/dev/null"


def strangers(service: Service, port: int) -> str:
    """Fragment that prints `stranger=inode` for a listener on the port that is not the unit's own.

    Listeners are asked for first: one that comes or goes meanwhile must not look like a stranger for long.
    """
    return f"""listening=$({listeners(port)}) || :
{sockets_held(service)}
while read -r _ _ _ _ _ _ _ _ _ inode _; do
    case $held in
        *"old=socket:[$inode]"*) stranger=$inode ;;
        *"own=socket:[$inode]"*) ;;
        *) [ -z "$inode" ] || stranger=$inode ;;
    esac
done <<END
$listening
END
echo "stranger=$stranger\""""
