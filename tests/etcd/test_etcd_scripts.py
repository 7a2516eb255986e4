"""What is said to hosts, as whole texts; and that a shell understands every one of them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from quoracy.etcd import scripts as etcd
from quoracy.etcd import scripts_etcdctl as etcdctl
from quoracy.etcd.facts import etcd_questions, poll_questions
from quoracy.etcd.scripts_places import require_free
from quoracy.etcd.scripts_staged import staged_content
from quoracy.etcd.spec import EtcdCluster
from quoracy.etcd.templates import Generation, bootstrap_config, render_generation
from quoracy.hosts.question import ask_all
from quoracy.operation.guard import Guard, guarded, released
from tests.etcd_factories import TOKEN, spec

DEMO = spec()
APART = spec(
    directories={
        "data": "/data/etcd/demo",
        "wal": "/wal/etcd/demo",
        "config": "/srv/etc/demo",
        "bin": "/srv/etcd",
    },
    ports={"client": 3379, "peer": 3380},
)
GENERATION = Generation("3.5.16", "name: x\n", "[Unit]\n", "#!/bin/sh\n")


def test_prepare_host() -> None:
    assert (
        etcd.prepare_host(DEMO)
        == f"set -eu\n{require_free(DEMO)}\n"
        + """\
systemd-sysusers --inline 'u etcd - "etcd" /nonexistent'
mkdir -p -m 0755 /etc/etcd/demo /etc/etcd/demo/generations
mkdir -p -m 0750 /etc/etcd/demo/tls
chown root:etcd /etc/etcd/demo/tls
given_to_etcd() {
    setpriv --reuid=etcd --regid=etcd --init-groups --no-new-privs -- sh -c 'umask 077; mkdir -p "$1" && chmod 0700 "$1"' sh "$1" 2>/dev/null && return
    for at in "$1" "$(readlink -m "$1")"; do
        while [ "$at" != / ]; do
            at=${at%/*}; at=${at:-/}
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
}
given_to_etcd /var/lib/etcd/demo
"""
    )


def test_prepare_host_with_a_log_of_its_own() -> None:
    assert etcd.prepare_host(APART).endswith("""given_to_etcd /data/etcd/demo
given_to_etcd /wal/etcd/demo
""")


def test_the_keys_of_the_first_start_make_what_lies_there_the_creates_own() -> None:
    text = etcd.write_bootstrap(DEMO, "x")
    assert text.startswith(f"set -eu\n{require_free(DEMO)}\n(umask 077;")


def test_write_certificates_keeps_the_clients_key_from_etcd() -> None:
    files = {"ca.pem": b"A", "peer.key": b"B", "client.key": b"C"}
    written = etcd.write_certificates(DEMO, files)
    assert written.endswith("sync -f /etc/etcd/demo/tls\n")
    modes = [line for line in written.splitlines() if line.startswith(("chown", "chmod"))]
    assert modes == [
        "chown root:etcd /etc/etcd/demo/tls/ca.pem.quoracy-new",
        "chmod 0640 /etc/etcd/demo/tls/ca.pem.quoracy-new",
        "chown root:etcd /etc/etcd/demo/tls/peer.key.quoracy-new",
        "chmod 0640 /etc/etcd/demo/tls/peer.key.quoracy-new",
        "chown root:root /etc/etcd/demo/tls/client.key.quoracy-new",
        "chmod 0600 /etc/etcd/demo/tls/client.key.quoracy-new",
    ]


def test_install_release() -> None:
    assert (
        etcd.install_release(DEMO, "3.5.16", "ab12")
        == """set -eu
mkdir -p -m 0755 /opt/etcd
rm -rf /opt/etcd/.3.5.16.demo.incoming
mkdir -m 0755 /opt/etcd/.3.5.16.demo.incoming
tar -xzf - -C /opt/etcd/.3.5.16.demo.incoming --strip-components=1 --no-same-owner
chown -R root:root /opt/etcd/.3.5.16.demo.incoming
chmod -R u+rwX,go+rX,go-w /opt/etcd/.3.5.16.demo.incoming
"/opt/etcd/.3.5.16.demo.incoming/etcd" --version | grep -q -x "etcd Version: 3.5.16"
echo ab12 > /opt/etcd/.3.5.16.demo.incoming/.quoracy-sha256
sync -f /opt/etcd/.3.5.16.demo.incoming
if [ -e /opt/etcd/3.5.16 ] && [ ! -e /opt/etcd/3.5.16/.quoracy-sha256 ]; then echo '/opt/etcd/3.5.16 was not made by Quoracy; set another directories.bin' >&2; exit 1; fi
if [ -e /opt/etcd/3.5.16 ]; then rm -rf /opt/etcd/.3.5.16.demo.incoming; else mv -T /opt/etcd/.3.5.16.demo.incoming /opt/etcd/3.5.16; fi
"""
    )


def test_stage_generation() -> None:
    directory = f"/etc/etcd/demo/generations/{GENERATION.identity}"
    text = etcd.stage_generation(DEMO, GENERATION)
    assert text.startswith(f"set -eu\nmkdir -p -m 0755 {directory}\n(umask 077;")
    assert text.endswith(
        f"ln -s -f -n /opt/etcd/3.5.16 {directory}/release.quoracy-new\n"
        f"mv -f -T {directory}/release.quoracy-new {directory}/release\n"
        f"sync -f {directory}\n"
    )


def test_switch_generation_points_the_link_last() -> None:
    """Killed before the link, the next run switches again; systemd has read the unit by then."""
    assert (
        etcd.switch_generation(DEMO, "0123456789ab")
        == """set -eu
test -e /etc/etcd/demo/generations/0123456789ab/etcd.yaml
test -x /etc/etcd/demo/generations/0123456789ab/release/etcd
if [ "$(cat /etc/etcd/demo/generations/0123456789ab/unit)" != "$(cat /etc/systemd/system/etcd-demo.service 2>/dev/null)" ]; then
cp /etc/etcd/demo/generations/0123456789ab/unit /etc/systemd/system/etcd-demo.service.quoracy-new
sync /etc/systemd/system/etcd-demo.service.quoracy-new
mv -f -T /etc/systemd/system/etcd-demo.service.quoracy-new /etc/systemd/system/etcd-demo.service
systemctl daemon-reload
elif [ "$(systemctl show --value -p NeedDaemonReload etcd-demo.service)" = yes ]; then
systemctl daemon-reload
fi
ln -s -f -n generations/0123456789ab /etc/etcd/demo/current.quoracy-new
mv -f -T /etc/etcd/demo/current.quoracy-new /etc/etcd/demo/current
"""
    )


def test_start_and_stop() -> None:
    assert (
        etcd.start_member(DEMO)
        == """set -eu
since=$(date +%s)
systemctl reset-failed etcd-demo.service 2>/dev/null || true
systemctl is-enabled --quiet etcd-demo.service || systemctl enable --quiet etcd-demo.service
systemctl start etcd-demo.service 2>/dev/null || { journalctl -u etcd-demo.service --since=@$since --no-pager -o cat | tail -n 200 | cut -b -4000 >&2; exit 1; }
"""
    )
    assert etcd.stop_member(DEMO) == "set -eu\nsystemctl stop etcd-demo.service\n"


@pytest.mark.parametrize(
    "say",
    [
        lambda content: etcd.stop_member(DEMO, content),
        lambda content: etcd.start_member(DEMO, content),
        lambda content: etcd.form_member(DEMO, content),
        lambda content: etcd.switch_generation(DEMO, GENERATION.identity, content),
    ],
    ids=["stop", "start", "form", "switch"],
)
def test_what_comes_into_use_is_compared_before_anything_is_done(say: Callable[[str], str]) -> None:
    """`stop` and `switch` look at the generation to come, `start` at the one in use."""
    content = staged_content(DEMO, GENERATION)
    compared = say(content).removesuffix(say("").removeprefix("set -eu\n"))
    assert compared.startswith("set -eu\nas_planned() {\ncd /etc/etcd/demo/")
    assert compared.endswith('differ=$(as_planned) || { echo "$differ" >&2; exit 80; }\n')
    assert all(line in compared.splitlines() for line in content.splitlines()[1:-1])


def test_withdraw_member_moves_data_aside_and_deletes_none() -> None:
    assert (
        etcd.withdraw_member(APART, "op1")
        == """set -eu
systemctl disable --quiet --now etcd-demo.service 2>/dev/null || true
[ "$(systemctl show --value -p MainPID etcd-demo.service)" = 0 ]
rm -f /srv/etc/demo/formed
if [ -e /data/etcd/demo/member ]; then setpriv --reuid=etcd --regid=etcd --init-groups --no-new-privs -- mv -T /data/etcd/demo/member /data/etcd/demo/member.aside-op1; fi
if [ -e /wal/etcd/demo/wal ]; then setpriv --reuid=etcd --regid=etcd --init-groups --no-new-privs -- mv -T /wal/etcd/demo/wal /wal/etcd/demo/wal.aside-op1; fi
if [ -e /wal/etcd/demo/wal.tmp ]; then setpriv --reuid=etcd --regid=etcd --init-groups --no-new-privs -- mv -T /wal/etcd/demo/wal.tmp /wal/etcd/demo/wal.tmp.aside-op1; fi
rm -f /srv/etc/demo/bootstrap.yaml
"""
    )


def test_withdraw_generation() -> None:
    assert (
        etcd.withdraw_generation(DEMO)
        == """set -eu
rm -f /etc/systemd/system/etcd-demo.service /etc/etcd/demo/current
systemctl daemon-reload
"""
    )


def test_finish_bootstrap_drops_the_bootstrap_keys_last() -> None:
    text = etcd.finish_bootstrap(DEMO, "cdf8")
    places = [
        text.index("/var/lib/etcd/demo/member/quoracy-cluster-id"),
        text.index("/etc/etcd/demo/cluster-id"),
        text.index("rm -f /etc/etcd/demo/bootstrap.yaml"),
    ]
    assert places == sorted(places)
    assert text.endswith(
        "rm -f /etc/etcd/demo/bootstrap.yaml /etc/etcd/demo/formed\nsync -f /etc/etcd/demo\n"
    )


def test_snapshot_path() -> None:
    assert etcd.snapshot_path(DEMO, "op1") == "/var/lib/quoracy/demo/snapshot-op1.db"


COMMON = (
    "env",
    "-i",
    "/etc/etcd/demo/current/release/etcdctl",
    "--endpoints=https://127.0.0.1:2379",
    "--cacert=/etc/etcd/demo/tls/ca.pem",
    "--cert=/etc/etcd/demo/tls/client.pem",
    "--key=/etc/etcd/demo/tls/client.key",
    "--command-timeout=5s",
    "--dial-timeout=2s",
)


def test_etcdctl_argv() -> None:
    assert etcdctl.endpoint_status(DEMO) == (*COMMON, "endpoint", "status", "--write-out=json")
    read = ("get", "health", "--keys-only", "--write-out=json")
    assert etcdctl.linearizable_read(DEMO) == (*COMMON, *read)
    assert etcdctl.endpoint_health(DEMO) == (*COMMON, "endpoint", "health", "--write-out=json")
    assert etcdctl.member_list(DEMO) == (*COMMON, "member", "list", "--write-out=json")


def test_snapshot_commands() -> None:
    saved = etcdctl.snapshot_save(DEMO, "/x.db", 600)
    assert saved[:7] == COMMON[:7]
    assert saved[7:] == ("--command-timeout=600s", "--dial-timeout=2s", "snapshot", "save", "/x.db")
    assert etcdctl.snapshot_status(DEMO, "/x.db") == (
        "if [ -x /etc/etcd/demo/current/release/etcdutl ]; then "
        "/etc/etcd/demo/current/release/etcdutl snapshot status /x.db --write-out=json; else "
        "/etc/etcd/demo/current/release/etcdctl snapshot status /x.db --write-out=json; fi"
    )


def test_subject_names_cover_every_way_to_the_member() -> None:
    cluster = spec(hosts=1)
    host = cluster.hosts[0].model_copy(update={"peer_address": "192.0.2.7"})
    assert etcd.subject_names(host) == (
        "demo-1",
        "198.51.100.2",
        "192.0.2.7",
        "127.0.0.1",
        "localhost",
    )


SCRIPTS: dict[str, Callable[[EtcdCluster], str]] = {
    "prepare_host": etcd.prepare_host,
    "install_release": lambda c: etcd.install_release(c, c.version, "ab" * 32),
    "write_certificates": lambda c: etcd.write_certificates(
        c, {"ca.pem": b"x" * 999, "client.key": b""}
    ),
    "stage_generation": lambda c: etcd.stage_generation(c, render_generation(c, c.hosts[0])),
    "write_bootstrap": lambda c: etcd.write_bootstrap(c, bootstrap_config(c, TOKEN)),
    "switch_generation": lambda c: etcd.switch_generation(c, "0123456789ab"),
    "start_member": etcd.start_member,
    "stop_member": etcd.stop_member,
    "stop_member_for": lambda c: etcd.stop_member(
        c, staged_content(c, render_generation(c, c.hosts[0]))
    ),
    "withdraw_member": lambda c: etcd.withdraw_member(c, "op1"),
    "withdraw_generation": etcd.withdraw_generation,
    "finish_bootstrap": lambda c: etcd.finish_bootstrap(c, "cdf8"),
    "snapshot_status": lambda c: etcdctl.snapshot_status(c, "/x.db"),
    "gather": lambda c: ask_all(etcd_questions(c)),
    "poll": lambda c: ask_all(poll_questions(c)),
    "guarded": lambda c: guarded(Guard(c.name, "root@h:1:ab", 3, "x"), etcd.start_member(c)),
    "released": lambda c: released(Guard(c.name, "root@h:1:ab", 3)),
    "pre_start": lambda c: render_generation(c, c.hosts[0]).pre_start,
}


@pytest.mark.parametrize("cluster", [DEMO, APART], ids=["default", "apart"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_sh_understands_every_script(name: str, cluster: EtcdCluster) -> None:
    done = subprocess.run(
        ["sh", "-n"], input=SCRIPTS[name](cluster), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
