"""Where a create puts things on a host, and what may lie there already. Pure.

The look before a plan and the scripts that act ask the same: what came to lie there in between is
left alone as well.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from quoracy.etcd.spec import EtcdCluster
from quoracy.specs.fields import within

SHOWN = 5
"""Names that are told of one directory: enough to know what it is."""

_CONFIG = ("generations", "tls", "current", "bootstrap.yaml", "formed", "cluster-id")
_TLS = (
    "ca.pem",
    *(f"{role}.{end}" for role in ("peer", "server", "client") for end in ("pem", "key")),
)
_UNFINISHED, _MOUNT = "*.quoracy-new", "lost+found"
# What a withdrawn create has moved aside; `wal.tmp` is what etcd renames to `wal`.
_ASIDE_DATA, _ASIDE_LOG = ("member.aside-*",), ("wal.aside-*", "wal.tmp.aside-*")


@dataclass(frozen=True, slots=True)
class Place:
    """A directory that a create would take.

    Attributes:
        setting: What the spec calls it.
        ours: Patterns of the names that may lie in it; None when others may put theirs there.
        owners: Users to whom it, and what it lies in, may belong.
    """

    path: str
    setting: str
    ours: tuple[str, ...] | None
    owners: tuple[str, ...]

    @property
    def parents(self) -> tuple[str, ...]:
        """The directories it lies in, nearest first."""
        return tuple(map(str, PurePosixPath(self.path).parents))


def places(cluster: EtcdCluster) -> tuple[Place, ...]:
    """Every directory that a create gives to etcd or writes into as root."""
    data, config, log = cluster.data_dir, cluster.config_dir, cluster.directories.wal
    etcds, roots = ("root", "etcd"), ("root",)
    inside = (
        (PurePosixPath(cluster.wal_dir).relative_to(data).parts[0],)
        if log and within(log, data)
        else ()
    )
    in_log = (_MOUNT, "wal", *_ASIDE_LOG)
    in_data = (_MOUNT, "member", *_ASIDE_DATA, *inside, *(_ASIDE_LOG if log == data else ()))
    found = [Place(data, "directories.data", in_data, etcds)]
    if log and log != data:
        found.append(Place(log, "directories.wal", in_log, etcds))
    return (
        *found,
        Place(config, "directories.config", (_MOUNT, *_CONFIG, _UNFINISHED), roots),
        Place(f"{config}/tls", "directories.config", (*_TLS, _UNFINISHED), roots),
        Place(cluster.directories.bin, "directories.bin", None, roots),
    )


def data_directories(cluster: EtcdCluster) -> tuple[str, ...]:
    """Where etcd would find data before its first start, and use it."""
    member = f"{cluster.data_dir}/member"
    return (member, cluster.wal_dir) if cluster.directories.wal else (member,)


def ask_places(cluster: EtcdCluster) -> str:
    """Fragment that tells what lies where a create would go, and whose it is.

    Prints `in <directory> <name>` for what is not ours, `held <path> <owner> <kind>` for what is
    there, `dangling <path>` for a link that leads nowhere.
    """
    paths = dict.fromkeys(path for place in places(cluster) for path in _chain(place))
    return f"{_strangers(cluster)}\n{_there(paths)}\nstat -L -c 'held %n %U %F' $@"


def require_free(cluster: EtcdCluster) -> str:
    """Fragment that ends the script when what lies where a create would go is not ours."""
    by_owners: dict[tuple[str, ...], dict[str, None]] = {}
    for place in places(cluster):
        by_owners.setdefault(place.owners, {}).update(dict.fromkeys(_chain(place)))
    held = "\n".join(
        f"{_there(paths)}\nstat -L -c 'held %n %U %F' $@ | grep -v -E ' ({'|'.join(owners)}) directory$' || :"
        for owners, paths in by_owners.items()
    )
    return (
        f"taken=$(\n{_strangers(cluster)}\n{held}\n)\n"
        'if [ -n "$taken" ]; then '
        "printf 'left alone, as it is not ours:\\n%s\\n' \"$taken\" >&2; exit 1; fi"
    )


def _chain(place: Place) -> tuple[str, ...]:
    return (place.path, *place.parents)


def _there(paths: Iterable[str]) -> str:
    """Fragment that makes those that are there the shell's arguments, and tells links that lead nowhere."""
    return (
        f"set --; for p in {' '.join(paths)}; do if [ -e $p ]; then set -- $@ $p; "
        'elif [ -L $p ]; then echo "dangling $p"; fi; done'
    )


def _strangers(cluster: EtcdCluster) -> str:
    """The first names in each directory that are not ours; only the shell itself is needed.

    A name is anybody's to choose: one that holds more than plain characters is not repeated.
    """
    listed = [(place.path, place.ours) for place in places(cluster) if place.ours is not None]
    listed += [(path, ()) for path in data_directories(cluster)]
    calls = (shlex.join(("strangers", path, *ours)) for path, ours in listed)
    return "\n".join((_STRANGERS, *calls))


_STRANGERS = rf"""strangers() {{
    d=$1 n=0; shift
    for f in $d/* $d/.[!.]* $d/.[.]?*; do
        [ -e "$f" ] || [ -L "$f" ] || continue
        f=${{f##*/}}
        for ours; do case $f in $ours) continue 2 ;; esac; done
        case $f in *[!-A-Za-z0-9._+@~\ ]*) f='(a strange name)' ;; esac
        echo "in $d $f"
        n=$((n + 1)); [ $n -lt {SHOWN} ] || break
    done
}}"""
