"""What a host is asked about a service, in one round trip and with few processes. Pure."""

from __future__ import annotations

from quoracy.commands.guard import state_dir
from quoracy.commands.service_layout import (
    DERIVED,
    UNITS,
    journal_path,
    socket_name,
    web_root,
)
from quoracy.facts.host import host_questions
from quoracy.spec.service import Service, ServiceType
from quoracy.spec.service_fields import OURS

_VERSIONS = {
    ServiceType.PYTHON: "/usr/bin/python3 --version",
    ServiceType.STATIC: "nginx -v 2>&1",
}


def service_questions(service: Service, source: str) -> dict[str, str]:
    """All questions to one host.

    Args:
        source: Digest of the wanted code: the manifest comes along only when the host has another.
    """
    directory = service.directory
    return {
        **host_questions(service.subject, (directory, state_dir(service.subject))),
        "links": (
            f"find {directory}/current {directory}/previous {journal_path(service)} "
            f"{web_root(service)} -maxdepth 0 -printf '%p %y %l\\n'"
        ),
        "records": _records(directory),
        "manifest": (
            f"cd {directory}/current && read -r record < .quoracy/release.json && "
            f'case $record in *\'"source": "{source}"\'*) ;; '
            "*) gzip -1 -c .quoracy/manifest | base64 -w0 ;; esac"
        ),
        "unit": _unit(service),
        "digest": f"sha256sum {UNITS}/{service.unit}"
        if service.type is not ServiceType.STATIC
        else ":",
        "runtime": _runtime(service),
        "dependencies": (
            f"cd {directory}/deps && for f in */.complete; do "
            '[ ! -e "$f" ] || echo "${f%/.complete}"; done'
        ),
        "flat": _flat(directory),
    }


def _records(directory: str) -> str:
    """ID, whether it is healthy, and record of each complete release, without a process for any."""
    return f"""cd {directory}/releases && for f in */.quoracy/complete; do
d=${{f%/complete}}
[ -e "$f" ] && read -r record < "$d/release.json" || continue
healthy=0; [ ! -e "$d/healthy" ] || healthy=1
printf '%s %s %s\\n' "${{d%/.quoracy}}" $healthy "$record"
done"""


def _unit(service: Service) -> str:
    """Unit and socket as systemd shows them, where the process works, and which sockets are its own.

    A listening socket is the service's when a process of the unit holds it, or systemd for its
    socket unit. The kernel tells the sockets' inodes (proc(5)); `ss` need not be there.
    """
    static = service.type is ServiceType.STATIC
    names = service.unit if static else f"{service.unit} {socket_name(service)}"
    held_by_systemd = (
        ""
        if static
        else '\n[ "$active" != active ] || [ "${show##*Id=}" = "$show" ] || set -- "$@" /proc/1/fd'
    )
    return f"""show=$(systemctl show -p Id,ActiveState,SubState,MainPID,NRestarts,ControlGroup {names})
printf '%s\\n\\n' "$show"
nl='
'
p=${{show#*MainPID=}}; p=${{p%%[!0-9]*}}
group=${{show#*ControlGroup=}}; group=${{group%%"$nl"*}}
active=${{show##*ActiveState=}}; active=${{active%%"$nl"*}}
if [ "$p" -gt 0 ]; then echo cwd=$(readlink /proc/$p/cwd); fi
echo real=$(cd {service.directory} && pwd -P)
set --
if [ "$p" -gt 0 ]; then set -- /proc/$p/fd; fi
if [ -n "$group" ]; then
    while read -r q; do set -- "$@" /proc/$q/fd; done < "/sys/fs/cgroup$group/cgroup.procs"
fi{held_by_systemd}
[ $# -eq 0 ] || find "$@" -maxdepth 1 -lname 'socket:*' -printf 'own=%l\\n'"""


def _runtime(service: Service) -> str:
    if service.type is ServiceType.NODEJS:
        program = "/usr/local/bin/bun" if service.nodejs_runtime == "bun" else "/usr/bin/node"
        return f"{program} --version"
    return _VERSIONS.get(service.type, ":")


def _flat(directory: str) -> str:
    """Names of all files and links that are not ours, NUL after each; no process when there are none."""
    ours = "|".join(OURS)
    pruned = " -o ".join(
        [*(f"-path './{name}'" for name in OURS), *(f"-name '{name}'" for name in DERIVED)]
    )
    return f"""cd {directory} && for f in * .[!.]* ..?*; do
case $f in {ours}|*.quoracy-new) continue ;; esac
[ -e "$f" ] || [ -L "$f" ] || continue
find . -mindepth 1 \\( {pruned} \\) -prune -o ! -type d -printf '%P\\0' | base64 -w0
break
done"""
