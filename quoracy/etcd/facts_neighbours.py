"""Every etcd on a host that is not this cluster's: processes, units, data, static pods. Pure.

Asked only while nothing of the cluster is recorded on the host: a create must not be made beside an etcd
that somebody else runs, or will start again. Clusters of Quoracy may share a host; what they are is read
from root's own files there: state directory, unit and configuration (law 11).
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from quoracy.etcd.facts_wal import HEAD_BYTES, cluster_id_of
from quoracy.etcd.spec import EtcdCluster
from quoracy.hosts.bounded import Unreadable, one_line, unbase64
from quoracy.hosts.question import Answer
from quoracy.specs.document import printed

MOST = 50
"""Lines that are read; a host that has more etcds than that says enough."""
MOST_CHARS = 200
PLACES = (
    "/var/lib/etcd",
    "/var/lib/etcd/*",
    "/var/lib/*/etcd",
    "/var/lib/rancher/*/server/db/etcd",
)
"""Where distributions keep it: Debian and kubeadm, k0s and minikube, RKE2 and K3s."""
MANIFESTS = ("/etc/kubernetes/manifests/*", "/var/lib/rancher/*/agent/pod-manifests/*")


@dataclass(frozen=True, slots=True)
class OtherCluster:
    """Another cluster of Quoracy's on the host, by its own record there."""

    name: str
    config: str
    data: str
    wal: str

    @property
    def directories(self) -> frozenset[str]:
        """All that is its own."""
        return frozenset(filter(None, (self.config, self.data, self.wal)))


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An etcd that Quoracy did not make.

    Attributes:
        what: In words: "process 812 (etcd.service)".
        data: Its data directory; "" when unknown.
        cluster_id: As its log says; None when unknown.
        urls: Where it listens for clients and members, as far as it was told on its command line.
    """

    what: str
    data: str = ""
    cluster_id: str | None = None
    urls: str = ""

    def __str__(self) -> str:
        parts = [
            self.what,
            f"data in {self.data}" if self.data else "",
            f"cluster {self.cluster_id}" if self.cluster_id else "",
            f"on {self.urls}" if self.urls else "",
        ]
        return ", ".join(filter(None, parts))


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What else of etcd there is on a host.

    Attributes:
        foreign: Not made by Quoracy.
        ours: Other clusters of Quoracy.
        holders: Who listens on the ports of the cluster, in words, by port.
    """

    foreign: tuple[Neighbour, ...] = ()
    ours: tuple[OtherCluster, ...] = ()
    holders: tuple[tuple[int, str], ...] = ()


def neighbours_question(cluster: EtcdCluster) -> str:
    """Fragment that prints a line for each thing found, texts in base64; nothing on a host with our record."""
    ports = "|".join(f"*:{port:04X}" for port in (cluster.ports.client, cluster.ports.peer))
    return f"""[ ! -e {cluster.config_dir}/cluster-id ] || exit 0
{_FUNCTIONS}
for s in /var/lib/quoracy/*; do
    n=${{s##*/}}; u=/etc/systemd/system/etcd-$n.service
    [ "$n" != {cluster.name} ] && [ -O "$s" ] && [ -O "$u" ] || continue
    c=$(sed -n 's,^ExecStart=\\(/.*\\)/current/release/etcd .*,\\1,p' "$u" | head -n 1)
    [ -O "$c/current/etcd.yaml" ] || continue
    say ours "$n" "$c" "$(key data-dir "$c/current/etcd.yaml" "$c")" \
        "$(key wal-dir "$c/current/etcd.yaml" "$c")"
done
for p in /proc/[0-9]*; do
    read -r name < $p/comm || continue
    case $name in etcd | etcd[-_.0-9]*) process $p ;; esac
done
for d in {" ".join(_where_data_may_be(cluster))}; do
    [ -d "$d/member/wal" ] || [ -d "$d/member/snap" ] || continue
    say data "$d" "$(head_of "$d/member/wal")"
done
units=$(grep -lsE '^ExecStart=[^ ]*/etcd( |$)' {_UNITS}; ls -d {_NAMED_UNITS} | sed 's,.*/,,') || :
units=$(for u in $units; do echo ${{u##*/}}; done | sort -u | head -n {MOST})
[ -z "$units" ] || systemctl show -p Id,ActiveState,UnitFileState $units | {{
    while read -r line; do
        case $line in
            Id=*) id=${{line#*=}} ;;
            ActiveState=*) active=${{line#*=}} ;;
            UnitFileState=*) enabled=${{line#*=}} ;;
            '') say unit "$id" "$active" "$enabled" ;;
        esac
    done
    say unit "$id" "$active" "$enabled"
}}
for m in $(grep -lsE '^ *(- +(.*/)?etcd|image: .*/etcd[:@].*)$' {" ".join(MANIFESTS)} | head -n {MOST}); do
    say manifest "$m"
done
while read -r _ address _ state _ _ _ _ _ inode _; do
    case $address/$state in {ports.replace("|", "/0A|")}/0A) holder ${{address##*:}} $inode ;; esac
done <<END
$(cat /proc/net/tcp /proc/net/tcp6)
END"""


_UNITS = " ".join(
    f"{folder}/*.service"
    for folder in ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
)  # fmt: skip
_NAMED_UNITS = _UNITS.replace("*.service", "*etcd*.service")
_FUNCTIONS = """
text() { [ -n "$1" ] && printf %s "$1" | head -c 1024 | base64 -w0 || printf -; }
say() { printf %s "$1"; shift; for t; do printf ' %s' "$(text "$t")"; done; echo; }
# What lies in a directory of others is read as its owner: a link there may lead to any file.
as_owner_of() {
    owner=$(stat -c '--reuid=%u --regid=%g' "$1") && shift || return
    timeout 2 setpriv $owner --clear-groups --no-new-privs -- "$@"
}
head_of() {
    for f in "$1"/*.wal; do
        [ -f "$f" ] && [ ! -L "$f" ] && { as_owner_of "$1" head -c 256 "$f" | base64 -w0; return; }
    done
}
key() { as_owner_of "$3" head -c 65536 "$2" | sed -n "s/^$1: *//p" | head -n 1 | tr -d '\\042\\047'; }
unit_of() {
    while IFS=: read -r _ _ group; do
        case $group in */*.service*) group=${group%%.service*}.service; echo ${group##*/}; return ;; esac
    done < $1/cgroup
}
process() {
    name='' dir='' log='' file='' clients='' peers=''
    while read -r word; do
        case $word in
            -*=*) value=${word#*=} ;;
            -*) read -r value || value='' ;;
            ETCD_*=*) value=${word#*=} ;;
            *) continue ;;
        esac
        case ${word%%=*} in
            -name | --name | ETCD_NAME) name=$value ;;
            -data-dir | --data-dir | ETCD_DATA_DIR) dir=$value ;;
            -wal-dir | --wal-dir | ETCD_WAL_DIR) log=$value ;;
            -config-file | --config-file | ETCD_CONFIG_FILE) file=$value ;;
            -listen-client-urls | --listen-client-urls | ETCD_LISTEN_CLIENT_URLS) clients=$value ;;
            -listen-peer-urls | --listen-peer-urls | ETCD_LISTEN_PEER_URLS) peers=$value ;;
        esac
    done <<END
$(head -c 65536 $1/environ | tr '\\0' '\\n' | grep -E '^ETCD_(NAME|DATA_DIR|WAL_DIR|CONFIG_FILE|LISTEN_(CLIENT|PEER)_URLS)=')
$(head -c 65536 $1/cmdline | tr '\\0' '\\n' | tail -n +2)
END
    # etcd ignores flags and environment when it has a configuration file.
    root=$1/root
    case $file in '') ;; /*) file=$root$file ;; *) file=$1/cwd/$file ;; esac
    if [ -n "$file" ] && [ -f "$file" ]; then
        dir=$(key data-dir "$file" $1) log=$(key wal-dir "$file" $1) name=$(key name "$file" $1)
        clients=$(key listen-client-urls "$file" $1) peers=$(key listen-peer-urls "$file" $1)
    fi
    dir=${dir:-${name:-default}.etcd}
    case $dir in /*) place=$root$dir ;; *) place=$1/cwd/$dir dir="$(readlink $1/cwd)/$dir" ;; esac
    [ -z "$log" ] || case $log in /*) log=$root$log ;; *) log=$1/cwd/$log ;; esac
    say process ${1#/proc/} "$(unit_of $1)" "$dir" "$clients $peers" "$(head_of "${log:-$place/member/wal}")"
}
holder() {
    ls -l /proc/[0-9]*/fd | while read -r line; do
        case $line in
            /proc/*) at=${line%/fd:} ;;
            *"socket:[$2]") read -r name < $at/comm; say holder $1 ${at#/proc/} "$name" "$(unit_of $at)"; break ;;
        esac
    done
}"""


def _where_data_may_be(cluster: EtcdCluster) -> list[str]:
    """Beside, above and below the cluster's own directories, and where distributions keep it."""
    places: list[str] = []
    for own in dict.fromkeys((cluster.data_dir, cluster.directories.wal or cluster.data_dir)):
        above = [str(one) for one in PurePosixPath(own).parents if str(one) != "/"]
        beside = f"{str(PurePosixPath(own).parent).rstrip('/')}/*"
        places += [*above, beside, f"{own}/*", f"{own}/*/*"]
    return list(dict.fromkeys((*places, *PLACES)))


def parse_neighbours(cluster: EtcdCluster, answer: Answer, *, begun: bool) -> Neighbours:
    """The answer to `neighbours_question`.

    Args:
        begun: Whether a create of this cluster is recorded on the host, so that its unit is our own.
    """
    lines = [_line(line) for line in answer.lines[: MOST * 4]]
    ours = tuple(OtherCluster(*map(_shown, said)) for kind, said in lines if kind == "ours")
    units = {f"etcd-{one.name}.service" for one in ours} | ({cluster.unit} if begun else set())
    data = {path for one in ours for path in one.directories} | {cluster.data_dir}
    found: list[Neighbour] = []
    for kind, said in lines:
        found += _neighbours(kind, said, units, data | {one.data for one in found if one.data})
    return Neighbours(tuple(found[:MOST]), ours, tuple(_holders(lines, units)))


def _neighbours(
    kind: str, said: list[bytes], own_units: Iterable[str], known: Iterable[str]
) -> Iterable[Neighbour]:
    """What a line tells, unless it is our own or part of what was told before."""
    texts = [_shown(one) for one in said]
    match kind, texts:
        case "process", [pid, unit, data, urls, _]:
            if unit not in own_units:
                where = f" ({unit})" if unit else ""
                yield Neighbour(f"process {pid}{where}", data, _cluster_id(said[4]), urls.strip())
        case "data", [data, _]:
            if data not in known:
                yield Neighbour("a data directory", data, _cluster_id(said[1]))
        case "unit", [unit, active, enabled]:
            runs = active in ("active", "activating", "reloading", "deactivating")
            if unit not in own_units and (runs or enabled.startswith(("enabled", "linked"))):
                yield Neighbour(f"unit {unit} ({active}, {enabled or 'no unit file'})")
        case "manifest", [path]:
            yield Neighbour(f"static pod {path}")


def _holders(
    lines: Iterable[tuple[str, list[bytes]]], own_units: set[str]
) -> Iterable[tuple[int, str]]:
    for kind, said in lines:
        if kind != "holder":
            continue
        port, pid, name, unit = map(_shown, said)
        if unit not in own_units and len(port) == 4 and all(c in "0123456789ABCDEF" for c in port):
            yield int(port, 16), f"process {pid} ({', '.join(filter(None, (name, unit)))})"


_TEXTS = {"ours": 4, "process": 5, "data": 2, "unit": 3, "manifest": 1, "holder": 4}
"""How many there are on a line of each kind."""
_SHOWN = 60


def _line(line: str) -> tuple[str, list[bytes]]:
    """Kind and texts.

    Raises:
        Unreadable: A line that is something else may be an etcd that is there.
    """
    kind, *words = line.split()
    if _TEXTS.get(kind) != len(words):
        raise Unreadable(f"{one_line(line, _SHOWN)!r} is nothing that was asked for")
    return kind, [b"" if word == "-" else unbase64(word) for word in words]


def _cluster_id(said: bytes) -> str | None:
    """The head of a log is base64 in itself: it went through the shell as a text."""
    try:
        return cluster_id_of(base64.b64decode(said, validate=True)[:HEAD_BYTES])
    except ValueError:
        return None


def _shown(said: bytes) -> str:
    return printed(said.decode("utf-8", "replace"))[:MOST_CHARS]
