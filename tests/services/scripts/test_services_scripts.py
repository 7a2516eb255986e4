"""What a service's host is told beside releases and switches."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile

import pytest

from quoracy.services.scripts import (
    DEPENDENCIES_SENT,
    install_dependencies,
    install_dependencies_on_host,
    last_words,
    prepare_service,
    service_journal,
)
from quoracy.services.scripts_user import as_user
from tests.services.scripts.service_machine import USER, Machine, web

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a host's scripts run as root")
FILES = {"package.json": b"{}", "sub/lock 1": b"\0lock"}


def test_preparing_whole() -> None:
    assert prepare_service(web(service_type="python", app_user="appuser")) == (
        "set -eu\n"
        "umask 022\n"
        "id -u appuser > /dev/null 2>&1 || "
        "systemd-sysusers --inline 'u appuser - \"web\" /nonexistent'\n"
        "mkdir -p -m 0755 /opt/web\n"
        "user=$(id -u appuser)\n"
        '[ "$user" = 0 ] || for at in /opt /; do\n'
        '    [ "$(stat -L -c %u $at)" != "$user" ] || {\n'
        '        echo "$at belongs to appuser, who could replace all that lies in it; '
        'choose another app_dir" >&2\n'
        "        exit 1\n"
        "    }\n"
        "done\n"
        "[ -O /opt/web ] || { chown root:root /opt/web; chmod 0755 /opt/web; }\n"
        "chmod go-w /opt/web\n"
        "roots() {\n"
        '    [ -e "$1" ] || [ -L "$1" ] || return 0\n'
        '    [ -d "$1" ] && [ ! -L "$1" ] && [ -O "$1" ] \\\n'
        '        || { echo "$1 is in the way: it is not a directory of root\'s" >&2; exit 1; }\n'
        "}\n"
        "for at in /opt/web/.quoracy /opt/web/.quoracy/made /opt/web/releases /opt/web/deps; "
        'do roots "$at"; done\n'
        "for at in /opt/web/.quoracy/made/releases/*; do\n"
        '    roots "/opt/web/releases/${at##*/}"; roots "/opt/web/releases/${at##*/}/.quoracy"\n'
        "done\n"
        "mkdir -p -m 0755 /opt/web/.quoracy\n"
        "if [ ! -s /opt/web/.quoracy/owner ]; then\n"
        "    echo service:web > /opt/web/.quoracy/owner.$$\n"
        "    sync /opt/web/.quoracy/owner.$$\n"
        "    # Of two at once one makes it.\n"
        "    ln -T /opt/web/.quoracy/owner.$$ /opt/web/.quoracy/owner 2>/dev/null || :\n"
        "    rm -f /opt/web/.quoracy/owner.$$\n"
        "fi\n"
        "read -r subject < /opt/web/.quoracy/owner\n"
        '[ "$subject" = service:web ] || '
        '{ echo "/opt/web is kept for $subject" >&2; exit 1; }\n'
        "mkdir -p -m 0755 /opt/web/releases /opt/web/deps\n"
        "if [ ! -e /opt/web/shared ] && [ ! -L /opt/web/shared ]; then\n"
        "rm -rf /opt/web/.quoracy/shared\n"
        "mkdir -m 0755 /opt/web/.quoracy/shared\n"
        "chown appuser: /opt/web/.quoracy/shared\n"
        "mv -T /opt/web/.quoracy/shared /opt/web/shared\n"
        "fi\n"
        "mkdir -p /opt/web/.quoracy/python/bin\n"
        "ln -s -f /usr/bin/python3 /opt/web/.quoracy/python/bin/python\n"
    )


def test_the_log_whole() -> None:
    assert service_journal(web(), 20) == (
        "set -eu\njournalctl -u web.service -n 20 --no-pager -o short-iso\n"
    )


def test_what_the_processes_said_since_the_switch_comes_before_what_systemd_says() -> None:
    assert last_words(web(), 20) == (
        "set -eu\n"
        "since=$(stat -c %Y /opt/web/current) || since=0\n"
        "said=$(journalctl _SYSTEMD_UNIT=web.service --since=@$since --no-pager -o cat -q "
        "| tail -n 20) || :\n"
        'if [ -n "$said" ]; then printf "%s\\n" "$said"; '
        "else journalctl -u web.service -n 20 --no-pager -o cat -q; fi\n"
    )


@needs_root
def test_as_the_user_nothing_is_left_of_root(machine: Machine) -> None:
    told = machine.run(
        as_user(USER, "sh", "-c", "id -un; grep -E 'NoNewPrivs|CapEff' /proc/self/status")
    )
    assert told.split() == [USER, "CapEff:", "0000000000000000", "NoNewPrivs:", "1"]


@needs_root
def test_another_user_must_be_able_to_write_to_what_is_shared(machine: Machine) -> None:
    other = web(app_user="daemon", redeploy={"shared": ["uploads"]})
    machine.run(prepare_service(web()))
    said = machine.fails(prepare_service(other))
    shared = machine.dir / "shared"
    assert (
        said
        == f"daemon may not write to {shared}; give it to that user: chown -R daemon: {shared}/\n"
    )
    assert shared.owner() == USER, "the release that serves is that user's"
    shutil.chown(shared, "daemon")
    machine.run(prepare_service(other))


@needs_root
def test_an_installer_runs_as_the_service_in_a_directory_of_its_own(machine: Machine) -> None:
    machine.run(prepare_service(web()))
    command = "id -un; cat 'sub/lock 1'; mkdir node_modules; echo x > node_modules/x"
    script = install_dependencies_on_host(web(), "k1", FILES, command, 20)
    assert machine.run(script) == f"{USER}\n\0lock"
    made = machine.dir / "deps/k1"
    assert (made / "node_modules/x").read_text() == "x\n"
    assert {path.owner() for path in (made, *made.rglob("*"))} == {"root"}
    assert (made / ".complete").exists()
    assert machine.run(script) == "", "it is there already"


@needs_root
def test_an_installer_that_fails_leaves_nothing_that_counts(machine: Machine) -> None:
    machine.run(prepare_service(web()))
    failing = install_dependencies_on_host(
        web(), "k1", FILES, "touch half; echo no >&2; exit 3", 20
    )
    assert machine.run(failing, code=3) == "no\n"
    assert not (machine.dir / "deps/k1/.complete").exists()
    machine.run(install_dependencies_on_host(web(), "k1", FILES, "true", 20))
    assert not (machine.dir / "deps/k1/half").exists()


@needs_root
def test_an_installer_cannot_make_root_write_elsewhere(machine: Machine) -> None:
    machine.run(prepare_service(web()))
    other = machine.root / "other"
    other.write_text("root's")
    command = f"ln -s {other} .complete"
    machine.run(install_dependencies_on_host(web(), "k1", FILES, command, 20))
    assert other.read_text() == "root's"
    assert not (machine.dir / "deps/k1/.complete").is_symlink()


@needs_root
def test_what_a_package_runs_at_each_start_is_not_run_by_root(machine: Machine) -> None:
    python = web(service_type="python")
    machine.run(prepare_service(python))
    version = subprocess.run(
        ["/usr/bin/python3", "-c", "import sys; print('python%d.%d' % sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    place = f"lib/{version}/site-packages"
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, text in {
            f"{place}/evil.pth": f"import os; os.mkdir('{machine.root}/taken')\n",
            f"{place}/module.py": "x = 1\n",
            DEPENDENCIES_SENT: "k1\n",
        }.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    machine.run(install_dependencies(python, "k1"), stream.getvalue())
    assert not (machine.root / "taken").exists()
    assert list((machine.dir / f"deps/k1/{place}/__pycache__").glob("module.*.pyc"))
