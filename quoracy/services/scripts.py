"""What a service's host is told beside releases and switches. Pure.

Every script may run twice: it looks before it acts, and leaves a state from which the next run goes on.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import PurePosixPath

from quoracy.hosts.script import Argv, script, write_file
from quoracy.services.layout import dependencies_path, journal_path, release_path
from quoracy.services.scripts_made import MADE, claimed, made_path, rest_removed
from quoracy.services.scripts_owner import copied, marked, secured
from quoracy.services.scripts_release import unpack
from quoracy.services.scripts_user import as_user, in_sandbox
from quoracy.services.spec import Service, ServiceType

DEPENDENCIES_SENT = ".sent"
"""Last member of the tar that `install_dependencies` reads, not empty: it proves that all arrived."""


def prepare_service(service: Service, *, flat: bool = False) -> str:
    """The service's user and directories, which are root's from now on.

    Args:
        flat: Whether the service runs right in its directory.
    """
    directory, user = service.directory, service.user
    made = shlex.quote(f'u {user} - "{service.name}" /nonexistent')
    parts: list[str | Argv] = [
        f"id -u {user} > /dev/null 2>&1 || systemd-sysusers --inline {made}",
        ("mkdir", "-p", "-m", "0755", directory),
        *secured(service, flat=flat),
        # First: a directory of root's of this name says that the others are ours.
        ("mkdir", "-p", "-m", "0755", f"{directory}/.quoracy"),
        marked(service),
        ("mkdir", "-p", "-m", "0755", f"{directory}/releases", f"{directory}/deps"),
        f"if [ ! -e {directory}/shared ] && [ ! -L {directory}/shared ]; then",
        # Under its name only once it is the user's.
        ("rm", "-rf", f"{directory}/.quoracy/shared"),
        ("mkdir", "-m", "0755", f"{directory}/.quoracy/shared"),
        f"chown {user}: {directory}/.quoracy/shared",
        ("mv", "-T", f"{directory}/.quoracy/shared", f"{directory}/shared"),
        "fi",
        *_shared_is_writable(service),
    ]
    if service.type is ServiceType.PYTHON:
        system = f"{directory}/.quoracy/python/bin"
        parts += [
            ("mkdir", "-p", system),
            ("ln", "-s", "-f", "/usr/bin/python3", f"{system}/python"),
        ]
    return script("umask 022", *parts)


def _shared_is_writable(service: Service) -> tuple[str, ...]:
    """Another `app_user` than before: the release that serves needs it as it is, so nothing is given away."""
    if not service.redeploy.shared:
        return ()
    user, path = service.user, f"{service.directory}/shared"
    message = f"{user} may not write to {path}; give it to that user: chown -R {user}: {path}/"
    return (f"{as_user(user, 'test', '-w', path)} || {{ echo '{message}' >&2; exit 1; }}",)


def install_dependencies(service: Service, key: str) -> str:
    """Unpack dependencies from the tar on standard input; nothing is done when they are complete.

    They are made where they will be used, as a virtual environment names its own path in its scripts.
    Only the marker, written last, makes them complete.
    """
    path = dependencies_path(service, key)
    return script(
        "umask 022",
        *_unless_made(service, key, "cat > /dev/null; "),
        ("rm", "-rf", path),
        *_made(service, path, pip=False),
        unpack(path),
        f'[ -s {path}/{DEPENDENCIES_SENT} ] || {{ echo "the upload broke off" >&2; exit 1; }}',
        *_dependencies_complete(service, path),
    )


def install_dependencies_on_host(
    service: Service, key: str, files: Mapping[str, bytes], command: str, timeout_s: int
) -> str:
    """Run an installer as the service's user in the directory of dependencies; its output is shown.

    Args:
        files: Manifest and lock file, by name.
        command: Shell; `bin` of a virtual environment that has pip is the first place on its PATH.
    """
    path = dependencies_path(service, key)
    made = dependencies_path(service, f".{key}.incoming")
    install = f'PATH="$PWD/bin:$PATH"; {command}'
    parents = {str(PurePosixPath(f"{path}/{name}").parent) for name in files}
    return script(
        "umask 022",
        *_unless_made(service, key, ""),
        ("rm", "-rf", path),
        *_made(service, path, pip=True),
        *(("mkdir", "-p", parent) for parent in sorted(parents)),
        *(write_file(f"{path}/{name}", content, mode="0600") for name, content in files.items()),
        ("chown", "-R", "-h", f"{service.user}:", path),
        in_sandbox(service.user, path, ("sh", "-c", install), timeout_s, what="the installation"),
        *copied(path, made),
        ("rm", "-rf", path),
        ("mv", "-T", made, path),
        # Among them may be a registry's token.
        *(("rm", "-rf", f"{path}/{name}") for name in files),
        *_dependencies_complete(service, path),
    )


def prune_releases(service: Service, keep: int) -> str:
    """Remove all but some releases, dependencies that none of them needs, and what was left half made.

    Those that have once been healthy come first, and of those the newest: a night of failed tries must
    not take away what one can go back to. Kept in any case: the current and the previous one, one that a process works in, and the copy of
    the flat directory while an adoption is under way. What is removed is named on standard output; what
    is not ours is not looked at.
    """
    return script(
        ("cd", service.directory),
        rest_removed(),
        _PRUNE.format(keep=keep, journal=journal_path(service), made=MADE),
    )


def verify_release(service: Service) -> str:
    """Read all files of the current release; `parse_verified` reads the answer."""
    return script(
        f"cd {service.directory}/current/",
        "if [ -e .quoracy/links ]; then base64 -w0 .quoracy/links; fi; echo",
        "find . -mindepth 1 -path ./.quoracy -prune -o \\( ! -type d -o -empty \\) "
        "-printf '%y %m %s\\0%P\\0%l\\0' | base64 -w0; echo",
        "find . -path ./.quoracy -prune -o -type f -exec sha256sum -z -- {} + | base64 -w0; echo",
    )


def read_manifest(service: Service, release: str) -> str:
    """What a release was made of, as it was shipped; nothing when it does not say."""
    path = f"{release_path(service, release)}/.quoracy/manifest"
    return script(f"cat {path} 2>/dev/null || :")


def service_journal(service: Service, lines: int) -> str:
    """The last lines of the unit's log."""
    return script(
        ("journalctl", "-u", service.unit, "-n", str(lines), "--no-pager", "-o", "short-iso")
    )


def last_words(service: Service, lines: int) -> str:
    """What the service's processes have said since the last switch; without any, the unit's log.

    systemd's own lines, and those of the release before, would push out the one that says why.
    """
    told = "--no-pager -o cat -q"
    return script(
        f"since=$(stat -c %Y {service.directory}/current) || since=0",
        # With --since, journalctl of systemd 252 takes -n from the beginning.
        f"said=$(journalctl _SYSTEMD_UNIT={service.unit} --since=@$since {told} | tail -n {lines}) || :",
        f'if [ -n "$said" ]; then printf "%s\\n" "$said"; '
        f"else journalctl -u {service.unit} -n {lines} {told}; fi",
    )


def _unless_made(service: Service, key: str, otherwise: str) -> tuple[str, ...]:
    """Fragments that end the script when they are there already, and else take their name."""
    mark, path = made_path(service, f"deps/{key}"), dependencies_path(service, key)
    done = f"if [ -e {mark} ] && [ -e {path}/.complete ]; then {otherwise}exit 0; fi"
    return (done, claimed(service, f"deps/{key}"))


def _made(service: Service, path: str, *, pip: bool) -> tuple[Argv, ...]:
    if service.type is not ServiceType.PYTHON:
        return (("mkdir", path),)
    without = () if pip else ("--without-pip",)
    return (("/usr/bin/python3", "-m", "venv", *without, path),)


def _dependencies_complete(service: Service, path: str) -> tuple[str | Argv, ...]:
    parts: list[str | Argv] = []
    if service.type is ServiceType.PYTHON:
        # The service may not write byte code there, and would compile everything at each start.
        # It never changes, so Python need not compare it with its source each time (PEP 552).
        compiled = ("-q", "--invalidation-mode", "unchecked-hash", f"{path}/lib")
        # As root: so neither the directory's own interpreter, nor what a package runs at each start (-S).
        command = shlex.join(("/usr/bin/python3", "-I", "-S", "-m", "compileall", *compiled))
        parts.append(f"{command} > /dev/null 2>&1 || :")
    # An installer may have left a link of that name.
    parts += [("rm", "-rf", f"{path}/.complete"), ("sync", "-f", path)]
    return (*parts, f": > {path}/.complete", ("sync", f"{path}/.complete"))


_PRUNE = """\
nl='
'
real=$(pwd -P)
current=$(readlink current) || current=''
previous=$(readlink previous) || previous=''
remove_rest
works_in="$(readlink /proc/[0-9]*/cwd || :)$nl"
record_of() {{ read -r record < "releases/$1/.quoracy/release.json"; }}
listed=$(for each in releases/*/.quoracy/complete; do
    [ -e "$each" ] || continue
    id=${{each#releases/}}; id=${{id%/.quoracy/complete}}
    [ -e {made}/releases/$id ] || continue
    record_of "$id"
    created=${{record#*'"created_s": '}}
    tried=1
    for mark in healthy proven; do [ ! -e "releases/$id/.quoracy/$mark" ] || tried=0; done
    [ "$id" != flat ] || tried=0
    # Of two made in the same second.
    after=1
    case releases/$id in "$current"|"$previous") after=0 ;; esac
    echo "$tried ${{created%%[!0-9]*}} $after $id"
done | sort -k 1,1n -k 2,2rn -k 3,3n)
count=0 needed=' '
while read -r tried created after id; do
    [ -n "$id" ] || continue
    count=$((count + 1))
    kept=no
    [ $count -gt {keep} ] || kept=yes
    case releases/$id in "$current"|"$previous") kept=yes ;; esac
    case $works_in in *"$real/releases/$id$nl"*|*"$real/releases/$id/"*) kept=yes ;; esac
    if [ "$id" = flat ] && [ -e {journal} ]; then kept=yes; fi
    if [ $kept = yes ]; then
        record_of "$id"
        key=${{record#*'"dependencies": "'}}
        needed="$needed${{key%%'"'*}} "
    else
        # By one rename: a release that is half there must not look like one.
        mv -T "releases/$id" "releases/.$id.removed"
        echo "releases/$id"
    fi
done <<END
$listed
END
for each in deps/*; do
    key=${{each#deps/}}
    [ -e "$each" ] && [ -e {made}/deps/$key ] || continue
    case $needed in *" $key "*) ;; *) mv -T "$each" "deps/.$key.removed"; echo "$each" ;; esac
done
remove_rest"""
