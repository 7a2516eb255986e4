"""A service's unit as systemd shows it, and whose the sockets on its port are: for look and gate. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from quoracy.hosts.question import Answer
from quoracy.services.layout import UNITS, socket_name
from quoracy.services.scripts_unit import of_directory
from quoracy.services.spec import Service, ServiceType
from quoracy.services.templates import made_for

SHOWN = "Id,LoadState,FragmentPath,ActiveState,SubState,MainPID,NRestarts,ControlGroup,Listen"


def unit_shown(service: Service) -> str:
    """Fragment that prints unit and socket unit, a block each; it leaves `show`, and the main process in `p`."""
    names = service.unit
    if service.type is not ServiceType.STATIC:
        names += f" {socket_name(service)}"
    return f"""show=$(systemctl show -p {SHOWN} {names})
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


def files_question(service: Service) -> str:
    """Digest and first line of the unit's file, what it starts, and the first line of the socket unit's."""
    if service.type is ServiceType.STATIC:
        return ":"
    unit, socket = f"{UNITS}/{service.unit}", f"{UNITS}/{socket_name(service)}"
    return f"""sha256sum {unit}
{of_directory(service)}
{{ read -r line < {unit} && printf '%s\\n' "$line"; }} 2>/dev/null
[ ! -e {unit} ] || ! of_directory || echo of_directory=yes
{{ read -r line < {socket} && printf 'socket=%s\\n' "$line"; }} 2>/dev/null || :"""


def foreign_units(service: Service, shown: Answer, files: Answer) -> Iterator[str]:
    """What is wrong with each of the service's units that is neither ours nor its own, in words.

    Args:
        shown: Unit and socket as `unit_shown` prints them.
        files: The answer to `files_question`.
    """
    if service.type is ServiceType.STATIC:
        return
    unit, _, socket = shown.text.strip().partition("\n\n")
    ours = any(made_for(line) for line in files.lines) or files.pairs.get("of_directory") == "yes"
    yield from _foreign(service, service.unit, Answer(unit, 0).pairs, ours=ours)
    beside = Answer(socket.partition("\n\n")[0], 0).pairs
    ours = bool(made_for(files.pairs.get("socket", "")))
    yield from _foreign(service, socket_name(service), beside, ours=ours)


def _foreign(service: Service, unit: str, told: dict[str, str], *, ours: bool) -> Iterator[str]:
    known, place = told.get("Id", unit), told.get("FragmentPath", "")
    if known != unit:
        yield f"{unit} is another name of {known} ({place})"
    elif ours:
        return
    elif told.get("LoadState") != "not-found":
        state = told.get("LoadState", "not known to systemd")
        file = f"its file {place}" if place else f"it is {state}, and"
        yield f"{unit} is not this service's: {file} is none of Quoracy's and starts nothing in {service.directory}"
    elif told.get("MainPID", "0") != "0":
        yield f"{unit} runs and has no file any more, so it is not known whose it is"
