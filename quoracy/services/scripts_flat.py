"""The layout of the original: a copy of it as a release, and the end of what was copied. Pure."""

from __future__ import annotations

import shlex

from quoracy.hosts.script import Argv, script, write_file
from quoracy.services.layout import (
    incoming_path,
    journal_path,
    release_path,
    web_root,
)
from quoracy.services.scripts_made import claimed, is_complete
from quoracy.services.scripts_owner import copied, owner_note, piped, secured
from quoracy.services.scripts_release import made_links
from quoracy.services.scripts_switch import aside_web_root
from quoracy.services.spec import Service, ServiceType
from quoracy.services.spec_fields import OURS

EACH_FLAT = f"""for each in * .[!.]* ..?*; do
    case $each in {"|".join(OURS)}|*.quoracy-new) continue ;; esac
    [ -e "$each" ] || [ -L "$each" ] || continue"""
"""Beginning of a loop over what is not ours in the directory."""


def keep_flat(service: Service, release: str, record: bytes) -> str:
    """Copy the flat directory into a release, with a unit that starts it from there.

    Shared paths are left out: they move, and the copy gets links to them. The files become root's and
    stay readable for the service's group. Once an adoption has begun the copy is not made anew: it
    may be the only whole one.
    """
    incoming, kept = incoming_path(service, release), release_path(service, release)
    failed, own = f"{incoming}.failed", f"{incoming}/.quoracy"
    return script(
        "umask 022",
        # An adoption that was put back has given the directory back, too.
        *secured(service, flat=True),
        f"if [ -e {journal_path(service)} ] && {is_complete(service, release)}; then exit 0; fi",
        claimed(service, f"releases/{release}"),
        ("rm", "-rf", incoming, failed),
        # Until all is root's: what is unpacked has the modes that its owner gave it.
        ("mkdir", "-m", "0700", incoming),
        *piped(
            # 1 is a file that is written to meanwhile, such as a log (tar(1)): the service runs, and what
            # counts of its own files is shared.
            f"{{ {_packed(service)} || [ $? = 1 ] || : > {failed}; }}",
            # Its own mode is not that of the flat directory.
            f"tar -x -f - -C {incoming} --no-same-owner -p --no-overwrite-dir",
            incoming,
            failed,
            "the flat directory",
        ),
        f'chown -R -h "root:$(id -g {service.user})" {incoming}',
        ("chmod", "-R", "u+rwX,g+rX,go-w", incoming),
        ("mkdir", own),
        *made_links(service, incoming, ""),
        *_kept_start(service, release, incoming),
        write_file(f"{own}/release.json", record, mode="0600"),
        f": > {own}/environment",
        f": > {own}/complete",
        ("chmod", "0755", incoming),
        ("sync", "-f", incoming),
        # Nothing has ever led to an older copy.
        ("rm", "-rf", kept),
        ("mv", "-T", incoming, kept),
    )


def clear_flat(service: Service, flat: str) -> str:
    """Remove the flat files that the kept release holds copies of, and end the adoption's journal.

    What it does not hold stays, and is named on standard output.
    """
    journal, kept = journal_path(service), release_path(service, flat)
    ended = f"{service.directory}/.quoracy/adoption-ended"
    parts: list[str | Argv] = [
        ("rm", "-rf", ended),
        f"[ -e {journal} ] || exit 0",
        f'{{ {is_complete(service, flat)}; }} || {{ echo "no copy is kept" >&2; exit 1; }}',
        # From here on the flat directory is not whole: nobody goes back to it.
        f": > {journal}/clearing",
        ("cd", service.directory),
        f"""{EACH_FLAT}
    # A link in the copy stands for what was moved; a file there is another one.
    if [ -L "{kept}/$each" ] && [ ! -L "$each" ]; then echo "$each"
    elif [ -e "{kept}/$each" ] || [ -L "{kept}/$each" ]; then rm -rf -- "./$each"
    else echo "$each"; fi
done""",
    ]
    if service.type is ServiceType.STATIC:
        parts.append(f"[ ! -e {journal}/web-root ] || rm -rf {aside_web_root(service)}")
    parts += [("rm", "-f", owner_note(service)), ("mv", "-T", journal, ended)]
    return script(*parts, ("rm", "-rf", ended))


def _packed(service: Service) -> str:
    left_out = (f"--exclude=./{name}" for name in (*OURS, *service.redeploy.shared))
    # No program of the app user's becomes one that runs as root.
    options = ("--sparse", "--mode=ug-s", "--anchored", "--no-wildcards", *left_out)
    return shlex.join(("tar", "-c", "-f", "-", "-C", service.directory, *options, "."))


def _kept_start(service: Service, release: str, incoming: str) -> tuple[str | Argv, ...]:
    """The original's unit, led to where its files will be found from then on."""
    directory, own = service.directory, f"{incoming}/.quoracy"
    if service.type is ServiceType.STATIC:
        return _kept_public(service, own)
    escaped = directory.replace(".", "\\.")
    moved = f"s#\\({escaped}\\)\\([^A-Za-z0-9._-]\\|$\\)#\\1/current\\2#g"
    first_line = f"1s#^\\#!{escaped}/#\\#!{release_path(service, release)}/#"
    return (
        f"unit=$(systemctl show --value -p FragmentPath {service.unit})",
        f'if [ -n "$unit" ]; then sed {shlex.quote(moved)} "$unit" > {own}/unit; fi',
        # Scripts of a virtual environment name its Python by its path.
        f"for each in {incoming}/venv/bin {incoming}/.venv/bin; do",
        '[ ! -d "$each" ] || [ -L "$each" ] || '
        f'find "$each" -type f -exec sed -i {shlex.quote(first_line)} {{}} +',
        "done",
    )


def _kept_public(service: Service, own: str) -> tuple[str | Argv, ...]:
    """static: what nginx serves now: a copy of its directory, or the part of the flat one it leads to."""
    root, directory = web_root(service), service.directory
    return (
        f"if [ -d {root} ] && [ ! -L {root} ]; then",
        *copied(root, f"{own}/public"),
        "else",
        f"case $(readlink -f {root} || :) in",
        f'{directory}/*) public=$(readlink -f {root}); ln -s "..${{public#{directory}}}" {own}/public ;;',
        f"*) ln -s .. {own}/public ;;",
        "esac",
        "fi",
    )
