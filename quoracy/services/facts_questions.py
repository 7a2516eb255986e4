"""What a host is asked about a service, in one round trip and with few processes. Pure."""

from __future__ import annotations

from quoracy.hosts.machine import host_questions
from quoracy.operation.guard import state_dir
from quoracy.services.facts_flat import flat_question
from quoracy.services.facts_place import place_question
from quoracy.services.facts_unit import files_question, listeners, sockets_held, unit_shown
from quoracy.services.scripts_made import MADE, strange_question
from quoracy.services.spec import Service, ServiceType

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
        "place": place_question(service),
        "records": _records(directory),
        "manifest": (
            # What root reads is root's.
            f"cd {directory}/current && [ -O . ] && [ -O .quoracy ] && [ ! -L .quoracy ] && read -r record < .quoracy/release.json && "
            f'case $record in *\'"source": "{source}"\'*) ;; '
            "*) gzip -1 -c .quoracy/manifest | base64 -w0 ;; esac"
        ),
        "unit": _unit(service),
        "digest": files_question(service),
        "runtime": _runtime(service),
        "dependencies": (
            f"cd {directory}/deps && for f in */.complete; do k=${{f%/.complete}}; "
            f'[ ! -e "$f" ] || [ ! -e ../{MADE}/deps/"$k" ] || echo "$k"; done'
        ),
        "strange": strange_question(service),
        "flat": flat_question(service),
    }


def _records(directory: str) -> str:
    """ID, last mark of the gate, and record of each complete release of ours, without a process for any."""
    return f"""cd {directory}/releases && [ -O . ] && for f in */.quoracy/complete; do
d=${{f%/complete}}
[ -e "$f" ] && [ -e ../{MADE}/releases/"${{d%/.quoracy}}" ] && [ -O "$d/.." ] && [ ! -L "$d" ] && [ -O "$d" ] || continue
# One without an end of its line is told as well: it is not what was written there.
record=; read -r record < "$d/release.json" || :
mark=none; for m in proven healthy; do [ ! -e "$d/$m" ] || mark=$m; done
printf '%s %s %s\\n' "${{d%/.quoracy}}" $mark "$record"
done"""


def _unit(service: Service) -> str:
    """Unit and socket as systemd shows them, where the process works, its sockets, and who listens.

    Listeners are asked for before and after: those of a service that is restarted meanwhile must not
    look like a stranger's.
    """
    listening = ":" if service.port is None else listeners(service.port)
    return f"""before=$({listening}) || :
{unit_shown(service)}
if [ "$p" -gt 0 ]; then echo cwd=$(readlink /proc/$p/cwd); fi
echo real=$(cd {service.directory} && pwd -P)
{sockets_held(service)}
printf '%s\\n' "$held"
after=$({listening}) || :
while read -r _ _ _ _ _ _ _ _ _ inode _; do
    [ -z "$inode" ] || case $before in *" $inode "*) echo "listening=$inode" ;; esac
done <<END
$after
END"""


def _runtime(service: Service) -> str:
    if service.type is ServiceType.NODEJS:
        program = "/usr/local/bin/bun" if service.nodejs_runtime == "bun" else "/usr/bin/node"
        return f"{program} --version"
    return _VERSIONS.get(service.type, ":")
