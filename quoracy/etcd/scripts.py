"""What each step of an etcd operation says to a host: step in, shell script out. Pure.

Every script may run twice: it looks before it acts, replaces files as a whole, and leaves a state
from which the next run goes on.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Final

from quoracy.etcd.scripts_places import require_free
from quoracy.etcd.scripts_staged import require_content
from quoracy.etcd.spec import EtcdCluster, EtcdHost
from quoracy.etcd.templates import Generation
from quoracy.hosts.script import link, script, write_file
from quoracy.operation.guard import state_dir

RELEASE_MARKER = ".quoracy-sha256"
CERTIFICATE_ROLES: Final = ("peer", "server", "client")
_AS_ETCD = "setpriv --reuid=etcd --regid=etcd --init-groups --no-new-privs --"


def as_etcd(*argv: str) -> str:
    """A command that runs as the user etcd.

    Root touches nothing in directories of etcd's: there a link may lead to a file of root's.
    """
    return f"{_AS_ETCD} {shlex.join(argv)}"


def marker_path(cluster: EtcdCluster) -> str:
    """The file of etcd's that says which cluster the data belongs to."""
    return f"{cluster.data_dir}/member/quoracy-cluster-id"


def record_dir(cluster: EtcdCluster) -> str:
    """What the running process started with, written by pre-start; root's."""
    return f"/run/quoracy-etcd-{cluster.name}"


def runtime_dir(cluster: EtcdCluster) -> str:
    """The unit's RuntimeDirectory, etcd's: a link to the recorded configuration.

    Of a process that an earlier pre-start has started: the record itself.
    """
    return f"/run/etcd-{cluster.name}"


def prepare_host(cluster: EtcdCluster) -> str:
    """The system user and the directories of the cluster; what is not ours is refused, not taken."""
    config, data = cluster.config_dir, cluster.data_dir
    parts: list[tuple[str, ...] | str] = [
        require_free(cluster),
        ("systemd-sysusers", "--inline", 'u etcd - "etcd" /nonexistent'),
        ("mkdir", "-p", "-m", "0755", config, f"{config}/generations"),
        ("mkdir", "-p", "-m", "0750", f"{config}/tls"),
        ("chown", "root:etcd", f"{config}/tls"),
        _GIVEN_TO_ETCD,
        ("given_to_etcd", data),
    ]
    if cluster.directories.wal:
        parts.append(("given_to_etcd", cluster.directories.wal))
    return script(*parts)


def install_release(cluster: EtcdCluster, version: str, sha256: str) -> str:
    """Unpack an archive from standard input into the version's own directory, by one rename."""
    directory = cluster.release_dir(version)
    incoming = f"{cluster.directories.bin}/.{version}.{cluster.name}.incoming"
    return script(
        ("mkdir", "-p", "-m", "0755", cluster.directories.bin),
        ("rm", "-rf", incoming),
        ("mkdir", "-m", "0755", incoming),
        ("tar", "-xzf", "-", "-C", incoming, "--strip-components=1", "--no-same-owner"),
        ("chown", "-R", "root:root", incoming),
        ("chmod", "-R", "u+rwX,go+rX,go-w", incoming),
        f'"{incoming}/etcd" --version | grep -q -x "etcd Version: {version}"',
        f"echo {sha256} > {incoming}/{RELEASE_MARKER}",
        ("sync", "-f", incoming),
        # The marker is in place before the rename, so a directory without it is somebody else's.
        f"if [ -e {directory} ] && [ ! -e {directory}/{RELEASE_MARKER} ]; then "
        f"echo '{directory} was not made by Quoracy; set another directories.bin' >&2; exit 1; fi",
        f"if [ -e {directory} ]; then rm -rf {incoming}; else mv -T {incoming} {directory}; fi",
    )


def write_certificates(cluster: EtcdCluster, files: Mapping[str, bytes]) -> str:
    """Certificates and keys, by file name; keys of the members belong to etcd, the client's to root."""
    directory = f"{cluster.config_dir}/tls"
    parts = []
    for name, content in files.items():
        owner = "root:root" if name == "client.key" else "root:etcd"
        mode = "0600" if name == "client.key" else "0640"
        parts.append(write_file(f"{directory}/{name}", content, mode=mode, owner=owner))
    return script(*parts, ("sync", "-f", directory))


def stage_generation(cluster: EtcdCluster, generation: Generation) -> str:
    """Put a generation beside the others; nothing runs from it yet."""
    directory = f"{cluster.config_dir}/generations/{generation.identity}"
    files = [
        write_file(f"{directory}/{name}", content.encode(), mode="0644")
        for name, content in generation.files.items()
    ]
    release = link(cluster.release_dir(generation.version), f"{directory}/release")
    return script(
        ("mkdir", "-p", "-m", "0755", directory), *files, release, ("sync", "-f", directory)
    )


def write_bootstrap(cluster: EtcdCluster, content: str) -> str:
    """The first start's keys; the file is also the journal of a create under way.

    From then on what lies in the data directory counts as the create's own, so it is looked at again.
    """
    path = f"{cluster.config_dir}/bootstrap.yaml"
    return script(require_free(cluster), write_file(path, content.encode(), mode="0644"))


def switch_generation(cluster: EtcdCluster, identity: str, content: str = "") -> str:
    """Let unit and link follow a staged generation; a running member is not touched.

    Args:
        content: What the generation must hold; see `require_content`.
    """
    directory = f"{cluster.config_dir}/generations/{identity}"
    unit = f"/etc/systemd/system/{cluster.unit}"
    return script(
        *require_content(cluster, content),
        ("test", "-e", f"{directory}/etcd.yaml"),
        ("test", "-x", f"{directory}/release/etcd"),
        # Reading all units again takes a tenth of a second, while the member is down.
        f'if [ "$(cat {directory}/unit)" != "$(cat {unit} 2>/dev/null)" ]; then',
        ("cp", f"{directory}/unit", f"{unit}.quoracy-new"),
        ("sync", f"{unit}.quoracy-new"),
        ("mv", "-f", "-T", f"{unit}.quoracy-new", unit),
        ("systemctl", "daemon-reload"),
        f'elif [ "$(systemctl show --value -p NeedDaemonReload {cluster.unit})" = yes ]; then',
        ("systemctl", "daemon-reload"),
        "fi",
        link(f"generations/{identity}", f"{cluster.config_dir}/current"),
    )


def start_member(cluster: EtcdCluster, content: str = "") -> str:
    """Start and enable; ends when the member serves (Type=notify) or systemd gives up.

    Args:
        content: What the generation in use must hold; see `require_content`.
    """
    return script(
        *require_content(cluster, content, in_use=True),
        "since=$(date +%s)",
        f"systemctl reset-failed {cluster.unit} 2>/dev/null || true",
        # Enabling makes systemd read all units again, each time; the member is down meanwhile.
        f"systemctl is-enabled --quiet {cluster.unit} || systemctl enable --quiet {cluster.unit}",
        # systemd only says that it failed; why stands in the member's own log.
        f"systemctl start {cluster.unit} 2>/dev/null || {{ {member_log(cluster, '@$since')} >&2; exit 1; }}",
    )


def member_log(cluster: EtcdCluster, since: str) -> str:
    """Fragment that prints what the member has written since a time, as systemd.time(7) has it."""
    # With --since, journalctl of systemd 252 counts the lines of -n from the beginning.
    return f"journalctl -u {cluster.unit} --since={since} --no-pager -o cat | tail -n 200 | cut -b -4000"


def form_member(cluster: EtcdCluster, content: str = "") -> str:
    """First start; a member that has served once must not come back without its log."""
    return start_member(cluster, content) + script(
        ("touch", f"{cluster.config_dir}/formed"), ("sync", "-f", cluster.config_dir)
    )


def resume_member(cluster: EtcdCluster, content: str = "") -> str:
    """Let systemd start it; whether it comes up is not waited for.

    Args:
        content: What the generation in use must hold; see `require_content`.
    """
    return script(
        *require_content(cluster, content, in_use=True),
        f"systemctl reset-failed {cluster.unit} 2>/dev/null || true",
        ("systemctl", "start", "--no-block", cluster.unit),
    )


def enable_member(cluster: EtcdCluster) -> str:
    """Let the unit start when the host boots; a running member is not touched."""
    return script(("systemctl", "enable", "--quiet", cluster.unit))


def stop_member(cluster: EtcdCluster, content: str = "") -> str:
    """Stop by SIGTERM: etcd hands leadership over before it goes.

    Args:
        content: What is to be started instead; the member is left serving where it is not there.
    """
    return script(*require_content(cluster, content), ("systemctl", "stop", cluster.unit))


def withdraw_member(cluster: EtcdCluster, stamp: str) -> str:
    """Undo of a first start: stop, disable, move the young data aside, forget the bootstrap.

    Args:
        stamp: Tells this directory from earlier ones, for example the operation's ID.
    """
    config = cluster.config_dir
    parts: list[tuple[str, ...] | str] = [
        f"systemctl disable --quiet --now {cluster.unit} 2>/dev/null || true",
        # The unit may be gone already; what counts is that nothing runs on the data.
        f'[ "$(systemctl show --value -p MainPID {cluster.unit})" = 0 ]',
        # First: without its log, a member that has served would count as one that forgot it.
        ("rm", "-f", f"{config}/formed"),
        # Within their directories, which may be mounts of their own.
        _move_aside(f"{cluster.data_dir}/member", stamp),
    ]
    if cluster.directories.wal:
        # etcd makes the log beside its place and renames it.
        parts += [_move_aside(path, stamp) for path in (cluster.wal_dir, f"{cluster.wal_dir}.tmp")]
    parts.append(("rm", "-f", f"{config}/bootstrap.yaml"))
    return script(*parts)


def withdraw_bootstrap(cluster: EtcdCluster) -> str:
    """Undo of writing the keys of the first start."""
    return script(("rm", "-f", f"{cluster.config_dir}/bootstrap.yaml"))


def withdraw_generation(cluster: EtcdCluster) -> str:
    """Undo of a first switch: no unit and no link, as before."""
    return script(
        ("rm", "-f", f"/etc/systemd/system/{cluster.unit}", f"{cluster.config_dir}/current"),
        ("systemctl", "daemon-reload"),
    )


def finish_bootstrap(cluster: EtcdCluster, cluster_id: str) -> str:
    """Mark data and configuration with the cluster's ID; from now on an empty log is refused."""
    return script(
        as_etcd("sh", "-c", _MARK, "sh", cluster_id, marker_path(cluster)),
        write_file(f"{cluster.config_dir}/cluster-id", f"{cluster_id}\n".encode(), mode="0644"),
        ("rm", "-f", f"{cluster.config_dir}/bootstrap.yaml", f"{cluster.config_dir}/formed"),
        ("sync", "-f", cluster.config_dir),
    )


def snapshot_path(cluster: EtcdCluster, stamp: str) -> str:
    """Where a snapshot lies on the host until it has been fetched."""
    return f"{state_dir(cluster.name)}/snapshot-{stamp}.db"


def subject_names(host: EtcdHost) -> tuple[str, ...]:
    """Names that the host's peer and server certificates must cover."""
    names = (host.name, host.address, host.peer, "127.0.0.1", "localhost")
    return tuple(dict.fromkeys(names))


def _move_aside(directory: str, stamp: str) -> str:
    moved = as_etcd("mv", "-T", directory, f"{directory}.aside-{stamp}")
    return f"if [ -e {directory} ]; then {moved}; fi"


# $1 and $2: the cluster's ID, and the file that it goes to, as `write_file` replaces one.
_MARK = (
    'umask 022; echo "$1" > "$2.quoracy-new" && sync "$2.quoracy-new" '
    '&& mv -f -T "$2.quoracy-new" "$2" && sync -f "${2%/*}"'
)

# $1: a directory. Root makes it, or gives it away, only where nobody else can put a link in its place.
_GIVEN_TO_ETCD = f"""given_to_etcd() {{
    {_AS_ETCD} sh -c 'umask 077; mkdir -p "$1" && chmod 0700 "$1"' sh "$1" 2>/dev/null && return
    for at in "$1" "$(readlink -m "$1")"; do
        while [ "$at" != / ]; do
            at=${{at%/*}}; at=${{at:-/}}
            [ -e "$at" ] || continue
            case $(stat -L -c '%u %A' "$at") in
                '0 d'????-??-*) ;;
                *) echo "others than root may write to $at, so root makes nothing there; choose another place than $1" >&2
                   exit 1 ;;
            esac
        done
    done
    mkdir -p "$1"
    chown etcd:etcd "$1"
    chmod 0700 "$1"
}}"""
