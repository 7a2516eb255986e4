"""How a release comes to lie on a host: staged beside the others, built there, complete by one rename. Pure.

A staged release shares the inodes of unchanged files with the release that serves. So nothing that
may be shared is ever written to, truncated or given another mode or owner: it is unlinked, and made anew.
"""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath

from quoracy.hosts.script import Argv, script
from quoracy.services.layout import (
    DEPENDENCY_LINK,
    PUBLIC,
    dependencies_path,
    dependency_target,
    incoming_path,
    release_path,
)
from quoracy.services.manifest import Manifest
from quoracy.services.scripts_made import claimed, is_complete, made_path
from quoracy.services.scripts_owner import copied, marked
from quoracy.services.scripts_times import touch_all
from quoracy.services.scripts_user import as_user, in_sandbox
from quoracy.services.spec import Service, ServiceType
from quoracy.services.templates import UnitFiles

TAR_BLOCK = 512
_RECORD = ".quoracy/release.json"


def release_files(
    manifest: Manifest, record: bytes, units: UnitFiles
) -> dict[str, tuple[bytes, int]]:
    """What lies in `.quoracy` of a release: content and mode by path; the record is the last to arrive."""
    files = {
        "manifest": manifest.recorded.encode(),
        "unit": units.unit.encode(),
        "environment": units.environment,
    }
    if units.socket is not None:
        files["socket"] = units.socket.encode()
    return {f".quoracy/{name}": (content, 0o600) for name, content in files.items()} | {
        _RECORD: (record, 0o600)
    }


def stage_release(
    service: Service,
    release: str,
    base: str,
    dependencies: str,
    *,
    deleted_size: int,
    copy: bool,
    complete: bool = True,
) -> str:
    """Make a release from another one and from the tar on standard input.

    Args:
        base: Complete release that unchanged files are taken from; "" for none.
        dependencies: Key of its dependencies; "" for none.
        deleted_size: Bytes of the tar's first member, `.quoracy/deleted`; 0 when there is none. It is
            unpacked alone: what was a file may come as a directory.
        copy: Take files from the base as copies, for a build that may write to them.
        complete: Whether it is a release then; otherwise `build_release` follows.
    """
    incoming = incoming_path(service, release)
    return script(
        "umask 022",
        _unless_complete(service, release, "cat > /dev/null"),
        marked(service),
        claimed(service, f"releases/{release}"),
        ("rm", "-rf", incoming, _aside(service, release)),
        *_from_base(service, incoming, base, copy=copy),
        ("mkdir", "-p", f"{incoming}/.quoracy"),
        *_deletions(incoming, deleted_size),
        unpack(incoming),
        # To tar a stream that broke off between two members is a whole one.
        f'[ -s {incoming}/{_RECORD} ] || {{ echo "the upload broke off" >&2; exit 1; }}',
        *_require_dependencies(service, dependencies),
        *made_links(service, incoming, dependency_target(service, dependencies)),
        *(completed(service, release) if complete else ()),
    )


def build_release(
    service: Service, release: str, command: str, timeout_s: int, *, time: int
) -> str:
    """Run the build command in the staged release as the service's user; its output is shown.

    Meanwhile the release's own files lie beside it: what a build script writes must not become the unit.

    Args:
        time: Of all its files afterwards: hosts build at different moments.
    """
    incoming, aside = incoming_path(service, release), _aside(service, release)
    user = service.user
    return script(
        _unless_complete(service, release, ":"),
        f'[ -e {made_path(service, f"releases/{release}")} ] || {{ echo "it is not staged" >&2; exit 1; }}',
        f'[ -d {aside} ] || {{ [ -s {incoming}/{_RECORD} ] || {{ echo "it is not staged" >&2; exit 1; }}',
        f"mv -T {incoming}/.quoracy {aside}; }}",
        ("chown", "-R", "-h", f"{user}:", incoming),
        in_sandbox(user, incoming, ("sh", "-c", command), timeout_s, what="the build"),
        *copied(incoming, f"{incoming}.built"),
        ("rm", "-rf", incoming),
        ("mv", "-T", f"{incoming}.built", incoming),
        touch_all(incoming, time),
        ("rm", "-rf", f"{incoming}/.quoracy"),
        # The build may have changed any file: no other release is made from this one.
        f"[ ! -e {aside}/manifest ] || mv -T {aside}/manifest {aside}/manifest-before-build",
        ("mv", "-T", aside, f"{incoming}/.quoracy"),
        *completed(service, release),
    )


def made_links(service: Service, incoming: str, dependencies: str) -> tuple[str | Argv, ...]:
    """Fragments that link dependencies and shared paths into a release, whatever stood there.

    Their names are written down, as the next release is made from this one.

    Args:
        dependencies: Where the link to them leads; "" for none.
    """
    parts: list[str | Argv] = []
    names = list(service.redeploy.shared)
    if dependencies:
        names.insert(0, DEPENDENCY_LINK[service.type])
        path = f"{incoming}/{names[0]}"
        parts += [("rm", "-rf", path), ("ln", "-s", dependencies, path)]
    for name in service.redeploy.shared:
        parts += _shared_link(service, incoming, name)
    if names:
        parts.append(f"printf '%s\\n' {shlex.join(names)} > {incoming}/.quoracy/links")
    return tuple(parts)


def completed(service: Service, release: str) -> tuple[str | Argv, ...]:
    """Fragments that make a release of what was staged, by one rename."""
    incoming = incoming_path(service, release)
    parts: list[str | Argv] = []
    if service.type is ServiceType.STATIC:
        parts += _public_link(service, incoming)
    parts += [
        f": > {incoming}/.quoracy/complete",
        ("sync", "-f", incoming),
        ("mv", "-T", incoming, release_path(service, release)),
    ]
    return tuple(parts)


def _unless_complete(service: Service, release: str, otherwise: str) -> str:
    return f"if {is_complete(service, release)}; then {otherwise}; exit 0; fi"


def _aside(service: Service, release: str) -> str:
    return f"{incoming_path(service, release)}.quoracy"


def _require_dependencies(service: Service, key: str) -> tuple[str, ...]:
    if not key:
        return ()
    there = f"[ -e {made_path(service, f'deps/{key}')} ] && [ -e {dependencies_path(service, key)}/.complete ]"
    return (f'{{ {there}; }} || {{ echo "the dependencies {key} are not there" >&2; exit 1; }}',)


def _from_base(service: Service, incoming: str, base: str, *, copy: bool) -> tuple[str | Argv, ...]:
    if not base:
        return (("mkdir", incoming),)
    path = release_path(service, base)
    how = ("cp", "-a", "--reflink=auto") if copy else ("cp", "-al")
    return (
        f'{{ {is_complete(service, base)}; }} || {{ echo "release {base} is not there" >&2; exit 1; }}',
        (*how, "-T", path, incoming),
        f"""if [ -e {path}/.quoracy/links ]; then
    while IFS= read -r name; do
        [ ! -L "{incoming}/$name" ] || rm -f "{incoming}/$name"
    done < {path}/.quoracy/links
fi""",
        ("rm", "-rf", f"{incoming}/.quoracy"),
    )


def _deletions(incoming: str, size: int) -> tuple[str | Argv, ...]:
    """Unpack the tar's first member, and remove what it names and the directories left empty."""
    if not size:
        return ()
    first_member = TAR_BLOCK + -(-size // TAR_BLOCK) * TAR_BLOCK
    return (
        f"head -c {first_member} | {unpack(incoming)}",
        f"(cd {incoming} && xargs -0 -r rm -rf -- < .quoracy/deleted)",
        f"(cd {incoming} && xargs -0 -r dirname -z -- < .quoracy/deleted | sort -z -u "
        "| sed -z '/^\\.$/d' | xargs -0 -r rmdir -p --ignore-fail-on-non-empty --)",
        ("rm", f"{incoming}/.quoracy/deleted"),
    )


def unpack(directory: str) -> str:
    """As root's files, writable by nobody else; what is in the way is unlinked, never written to."""
    options = ("--unlink-first", "--no-same-owner", "--no-same-permissions")
    return shlex.join(("tar", "-x", "-f", "-", "-C", directory, *options))


def _shared_link(service: Service, incoming: str, name: str) -> list[str | Argv]:
    """A link to a shared path, which is made by its user unless it is there or will be moved there.

    A path whose last part holds a dot is taken for a file, which the service makes itself.
    """
    path, shared = PurePosixPath(name), f"{service.directory}/shared"
    parents = [str(each) for each in path.parents][:-1]
    made = shlex.quote(f"{shared}/{path.parent if '.' in path.name else path}")
    kept, moving = shlex.quote(f"{shared}/{name}"), shlex.quote(f"{service.directory}/{name}")
    place = f"{incoming}/{name}"
    return [
        *(
            f"[ ! -L {shlex.quote(f'{incoming}/{parent}')} ] || "
            f"{{ echo {shlex.quote(f'{parent} is a link, so {name} cannot be shared')} >&2; exit 1; }}"
            for parent in parents
        ),
        f"[ -e {kept} ] || [ -L {kept} ] || [ -e {moving} ] || [ -L {moving} ] || "
        f"{as_user(service.user, 'mkdir', '-p')} {made}",
        ("mkdir", "-p", str(PurePosixPath(place).parent)),
        ("rm", "-rf", place),
        ("ln", "-s", f"{'../' * (len(parents) + 2)}shared/{name}", place),
    ]


def _public_link(service: Service, incoming: str) -> list[str | Argv]:
    """static: what nginx serves of the release; it may be another directory in each."""
    wanted = service.redeploy.public
    if wanted:
        path = f"{incoming}/{wanted}"
        missing = shlex.quote(f"the release has no directory {wanted} to serve")
        chosen = f"[ -d {shlex.quote(path)} ] || {{ echo {missing} >&2; exit 1; }}; public={shlex.quote(wanted)}"
    else:
        found = f'[ ! -d "{incoming}/$each" ] || {{ public=$each; break; }}'
        chosen = f"public=.; for each in {' '.join(PUBLIC)}; do {found}; done"
    place = f"{incoming}/.quoracy/public"
    return [chosen, ("rm", "-rf", place), f'ln -s "../$public" {place}']
