"""What a service's host is told beside releases and switches."""

from __future__ import annotations

import os

import pytest
from service_machine import USER, Machine, web

from quoracy.commands.service import (
    install_dependencies_on_host,
    prepare_service,
    service_journal,
)
from quoracy.commands.service_user import as_user

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a host's scripts run as root")
FILES = {"package.json": b"{}", "sub/lock 1": b"\0lock"}


def test_preparing_whole() -> None:
    assert prepare_service(web(service_type="python", app_user="appuser")) == (
        "set -eu\n"
        "umask 022\n"
        "id -u appuser > /dev/null 2>&1 || "
        "systemd-sysusers --inline 'u appuser - \"web\" /nonexistent'\n"
        "mkdir -p -m 0755 /opt/web\n"
        "for each in releases deps .quoracy; do at=/opt/web/$each\n"
        "if [ -L $at ] || { [ -e $at ] && ! { [ -d $at ] && [ -O $at ]; }; }; then\n"
        'echo "$at is in the way: it is not a directory of root\'s; move it away" >&2; exit 1; fi; done\n'
        "for each in releases deps .quoracy; do mkdir -p -m 0755 /opt/web/$each; done\n"
        "if [ ! -e /opt/web/shared ]; then\n"
        "mkdir -m 0755 /opt/web/shared\n"
        "chown appuser: /opt/web/shared\n"
        "fi\n"
        "mkdir -p /opt/web/.quoracy/python/bin\n"
        "ln -s -f /usr/bin/python3 /opt/web/.quoracy/python/bin/python\n"
    )


def test_the_log_whole() -> None:
    assert service_journal(web(), 20) == (
        "set -eu\njournalctl -u web.service -n 20 --no-pager -o short-iso\n"
    )


@needs_root
def test_as_the_user_nothing_is_left_of_root(machine: Machine) -> None:
    told = machine.run(
        as_user(USER, "sh", "-c", "id -un; grep -E 'NoNewPrivs|CapEff' /proc/self/status")
    )
    assert told.split() == [USER, "CapEff:", "0000000000000000", "NoNewPrivs:", "1"]


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
