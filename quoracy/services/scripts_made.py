"""Which releases and dependencies on a host are ours: those that root has written down beforehand. Pure.

What a directory says of itself proves nothing: `cp -a` of a release says the same. So an empty file is made
outside of it, called like it: `.quoracy/made/releases/<id>`, `.quoracy/made/deps/<key>`. Whatever else lies in
`releases` and `deps` is somebody's own, and never used, moved or removed.
"""

from __future__ import annotations

from quoracy.services.layout import release_path
from quoracy.services.spec import Service

KINDS = ("releases", "deps")
MADE = ".quoracy/made"
MAX_STRANGE = 100
_REST = ("removed", "incoming", "incoming.quoracy", "incoming.failed")
"""Endings of what is begun or given up; a dot and the name stand before."""


def made_path(service: Service, place: str) -> str:
    """The file that says that a release or dependencies are ours.

    Args:
        place: Such as `releases/abc`.
    """
    return f"{service.directory}/{MADE}/{place}"


def claimed(service: Service, place: str) -> str:
    """Fragment that says so before anything of it is made; stops when somebody else has the name."""
    mark, directory = made_path(service, place), service.directory
    kind, _, name = place.partition("/")
    return f"""if [ ! -e {mark} ]; then
    for at in {directory}/{place} {directory}/{kind}/.{name}.*; do
        [ ! -e "$at" ] && [ ! -L "$at" ] || {{ echo "$at is in the way: Quoracy has not made it" >&2; exit 1; }}
    done
    [ -d {directory}/{MADE}/{kind} ] || mkdir -p {directory}/{MADE}/{kind}
    : > {mark}
fi"""


def is_complete(service: Service, release: str) -> str:
    """Condition: it is one of ours, and whole."""
    mark = made_path(service, f"releases/{release}")
    return f"[ -e {mark} ] && [ -e {release_path(service, release)}/.quoracy/complete ]"


def strange_question(service: Service) -> str:
    """What lies in `releases` and `deps` and is not ours, one path a line; no process is started."""
    strip = "; ".join(f"id=${{id%.{ending}}}" for ending in _REST)
    return f"""cd {service.directory} && n=0 && for at in releases/* releases/.[!.]* deps/* deps/.[!.]*; do
[ -e "$at" ] || [ -L "$at" ] || continue
id=${{at#*/}}
case $id in .*) id=${{id#.}}; {strip} ;; esac
[ -e {MADE}/${{at%%/*}}/"$id" ] && continue
printf '%s\\n' "$at"
n=$((n + 1)); [ $n -lt {MAX_STRANGE} ] || break
done"""


def rest_removed() -> str:
    """Function `remove_rest`, in the service's directory: what was given up, and what was begun an hour ago.

    And the files that speak of what is gone.
    """
    endings = " ".join(_REST)
    return f"""remove_rest() {{
    set --
    for mark in {MADE}/releases/* {MADE}/deps/*; do
        at=${{mark#{MADE}/}}
        for ending in {endings}; do
            rest=${{at%%/*}}/.${{at#*/}}.$ending
            [ ! -e "$rest" ] || set -- "$@" "$rest"
        done
    done
    [ $# = 0 ] || find "$@" -maxdepth 0 \\( -name '.*.removed' -o -mmin +60 \\) -exec rm -rf {{}} +
    set --
    for mark in {MADE}/releases/* {MADE}/deps/*; do
        at=${{mark#{MADE}/}} gone=yes
        for rest in "$at" "${{at%%/*}}/.${{at#*/}}."*; do [ ! -e "$rest" ] || gone=no; done
        [ ! -e "$mark" ] || [ $gone = no ] || set -- "$@" "$mark"
    done
    [ $# = 0 ] || rm -f "$@"
}}"""
