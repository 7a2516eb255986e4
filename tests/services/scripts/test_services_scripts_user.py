"""How commands that are not trusted run on a host; what systemd does is shown in tests/services."""

from __future__ import annotations

import os

import pytest

from quoracy.services.scripts_user import in_sandbox
from tests.services.scripts.service_machine import USER, Machine


def test_the_sandbox_whole() -> None:
    told = in_sandbox(
        "app",
        "/opt/web/releases/r1",
        ("sh", "-c", 'echo "$HOME"'),
        60,
        what="the build",
        variables={"A": "b $c"},
        stdin="/opt/x y",
    )
    assert (
        told
        == """\
code=0
(
    home=$(mktemp -d /tmp/quoracy.XXXXXX) && trap 'rm -rf "$home"' EXIT && chown app: "$home" \\
    && cd /opt/web/releases/r1 \\
    && systemd-run --quiet --pipe --wait --collect --same-dir --property=KillSignal=SIGKILL \
'--description=Quoracy: the build' -- \\
        timeout --foreground -k 5 60 \
setpriv --reuid=app --regid="$(id -g app)" --init-groups --no-new-privs -- \\
        env -i HOME="$home" PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 'A=b $$c' \
sh -c 'echo "$$HOME"'
) < '/opt/x y' 2>&1 || code=$?
case $code in 0) ;; 124|137) echo 'the build did not end within 60 s and was stopped'; exit $code ;; \
*) exit $code ;; esac"""
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, as on a host")
def test_a_command_is_run_as_it_is_written(machine: Machine) -> None:
    command = "x=one; echo \"$x ${x} '$x' $(id -un) $0\"; pwd; cat"
    told = machine.run(in_sandbox(USER, "/tmp", ("sh", "-c", command, "$x"), 20, what="it"))
    assert told.splitlines() == [f"one one 'one' {USER} $x", "/tmp"]
