"""Services that are broken on purpose: the previous release serves, and the message is true."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from quoracy.errors import QuoracyError, Refused, RollbackFailed, RolledBack, StepFailed, UsageError
from tests.services.sample import sample
from tests.services.shop import ASKED, Shop

pytestmark = pytest.mark.lab

SLOW_DEATH = "setTimeout(() => process.exit(1), 2000);\n"
BROKEN: dict[str, Callable[[str], str]] = {
    "does not start": lambda _: "process.exit(1);\n",
    "has a mistake in its code": lambda _: "this is no JavaScript\n",
    "dies after 2 s": lambda code: code + SLOW_DEATH,
    "answers 500": lambda code: code.replace(
        "response.end('ok\\n')", "response.writeHead(500).end()"
    ),
    "answers 404": lambda code: code.replace("'/health'", "'/elsewhere'"),
    "never listens": lambda _: "setInterval(() => {}, 1000);\n",
    "never answers": lambda code: code.replace("response.end('ok\\n')", "void 0"),
}


@pytest.fixture(scope="module")
def web(shop: Shop) -> Shop:
    """One host that serves a good release; its socket is not held, so that nothing hides a failure."""
    shop.set(
        "web",
        activation=None,
        health_check_timeout=6,
        pre_deploy_hook=None,
        post_deploy_hook=None,
        stop_timeout=2,
    )
    shop.version("web", "good")
    assert shop.redeploy("web").outcome == "done"
    return shop


@pytest.fixture
def good(web: Shop) -> Iterator[Shop]:
    """Each test begins and ends with the good release."""
    code = web.file("web", "index.js").read_text()
    config = (web.project / "deployments/web/service-config.yml").read_text()
    current = web.facts("web").current
    yield web
    web.file("web", "index.js").write_text(code)
    (web.project / "deployments/web/service-config.yml").write_text(config)
    assert web.facts("web").current == current
    assert web.ask("web") == f"web release={current} version=good\n"
    assert web.redeploy("web").outcome == "nothing_to_do"


# What the gate makes of each of them: tests/services/test_services_wait.py.
@pytest.mark.parametrize("way", sample(tuple(BROKEN), 4))
def test_a_broken_release_is_taken_back(good: Shop, way: str) -> None:
    path = good.file("web", "index.js")
    path.write_text(BROKEN[way](path.read_text()))
    if way == "dies after 2 s":
        good.set("web", health_check_stable=3)
    with pytest.raises(RolledBack) as raised:
        good.redeploy("web")
    assert raised.value.where == good.lab.hosts[0].name
    assert good.operations("web")[0].outcome == "rolled_back"


@pytest.mark.parametrize("moment", ["pre", "post"])
def test_a_hook_that_fails_is_obeyed(good: Shop, moment: str) -> None:
    good.file("web", "scripts/fails.sh").write_text("#!/bin/sh\necho no good; exit 7\n")
    hook: dict[str, Any] = {f"{moment}_deploy_hook": "scripts/fails.sh"}
    good.set("web", **hook)
    expected = StepFailed if moment == "pre" else RolledBack
    with pytest.raises((expected, QuoracyError)) as raised:
        good.redeploy("web")
    assert not isinstance(raised.value, RollbackFailed)
    good.file("web", "scripts/fails.sh").unlink()


def test_a_hook_that_hangs_is_ended(good: Shop) -> None:
    good.file("web", "scripts/hangs.sh").write_text("#!/bin/sh\nsleep 600\n")
    good.set("web", pre_deploy_hook="scripts/hangs.sh", hook_timeout=2)
    with pytest.raises(QuoracyError):
        good.redeploy("web")
    assert good.shell("pgrep -x sleep || echo none") == "none\n"
    good.file("web", "scripts/hangs.sh").unlink()


@pytest.mark.parametrize(
    ("where", "command"),
    sample(
        [
            ("controller", "exit 3"),
            ("host", "exit 3"),
            ("controller", "sleep 600"),
            ("host", "sleep 600"),
        ],
        2,
    ),
)
def test_a_build_that_fails_or_hangs_leaves_the_service_alone(
    good: Shop, where: str, command: str
) -> None:
    pid = good.facts("web").unit.main_pid
    package = good.file("web", "package.json").read_text()
    good.file("web", "package.json").write_text(
        package.replace("{", '{ "scripts": {"build": "true"},', 1)
    )
    good.set("web", build=command, build_on=where, build_timeout=3)
    with pytest.raises(QuoracyError):
        good.redeploy("web")
    good.file("web", "package.json").write_text(package)
    assert good.facts("web").unit.main_pid == pid


def test_a_full_disk_leaves_the_service_alone(good: Shop) -> None:
    pid = good.facts("web").unit.main_pid
    good.file("web", "large.bin").write_bytes(b"x" * 5_000_000)
    host = good.lab.hosts[0].name
    good.lab.fill_disk(host, 1_000_000)
    try:
        with pytest.raises(Refused) as raised:
            good.redeploy("web")
        assert "free" in str(raised.value)
    finally:
        good.lab.free_disk(host)
        good.file("web", "large.bin").unlink()
    assert good.facts("web").unit.main_pid == pid


def test_a_file_that_changes_while_it_is_sent_is_not_shipped(good: Shop) -> None:
    path = good.file("web", "changes.txt")
    path.write_text("before")
    try:
        with good.opened("web") as redeploy:
            plan = redeploy.plan()
            path.write_text("after!")
            with pytest.raises(QuoracyError, match=r"changes\.txt"):
                redeploy.run(plan, ASKED)
    finally:
        path.unlink()


@pytest.fixture
def leaves_processes(good: Shop) -> Iterator[Shop]:
    """A drop-in lets processes live on when the unit is stopped, as units of others may."""
    drop_in = "/etc/systemd/system/web.service.d/test.conf"
    good.shell(f"install -D /dev/stdin {drop_in} <<'END'\n[Service]\nKillMode=process\nEND")
    good.shell("systemctl daemon-reload")
    code = good.file("web", "index.js").read_text()
    yield good
    good.shell(f"rm -r {drop_in.rpartition('/')[0]}; systemctl daemon-reload")
    good.file("web", "index.js").write_text(code)
    good.file("web", "child.js").unlink()
    good.version("web", "good")
    assert good.redeploy("web").outcome == "done"


@pytest.mark.parametrize("way", ["goes on without the port", "listens elsewhere"])
def test_an_old_process_that_answers_does_not_prove_the_new_release(
    leaves_processes: Shop, way: str
) -> None:
    """A wrapper and its child, as npm starts one: the child has a session of its own, and stays."""
    shop, code = leaves_processes, leaves_processes.file("web", "index.js").read_text()
    on_ipv4 = code.replace("{ port: ", "{ host: '0.0.0.0', port: ")
    shop.file("web", "child.js").write_text(on_ipv4)
    shop.file("web", "index.js").write_text(
        "require('node:child_process').spawn(process.execPath, ['child.js'], { detached: true });\n"
        "setInterval(() => {}, 1000);\n"
    )
    shop.version("web", "wrapped")
    assert shop.redeploy("web").outcome == "done"
    wrapped = shop.facts("web").current
    other = {
        "goes on without the port": f"{on_ipv4}process.on('uncaughtException', () => {{}});\n"
        "setInterval(() => {}, 1000);\n",
        "listens elsewhere": code.replace("{ port: ", "{ host: '::1', ipv6Only: true, port: "),
    }
    shop.file("web", "index.js").write_text(other[way])
    shop.version("web", "taken in")
    with pytest.raises(RolledBack, match="something else answers on port 3000"):
        shop.redeploy("web")
    # The child of the wrapper that runs now answers, not the one that stayed.
    assert shop.facts("web").current == wrapped
    assert shop.ask("web") == f"web release={wrapped} version=wrapped\n"
    assert shop.shell("pgrep -c -u appuser -x node") == "2\n"


# It listens anew, and nobody does for a moment.
RELOAD_SSHD = """
listening() { awk '$2 ~ /:0016$/ && $4 == "0A" { print $10 }' /proc/net/tcp; }
before=$(listening); systemctl reload ssh
for try in $(seq 100); do
    now=$(listening); [ -z "$now" ] || [ "$now" = "$before" ] || exit 0
    sleep 0.1
done
exit 1
"""


def test_an_sshd_that_forbids_to_forward_is_told_before_anything_is_touched(good: Shop) -> None:
    pid, config = good.facts("web").unit.main_pid, "/etc/ssh/sshd_config.d/00-test.conf"
    code = good.file("web", "index.js").read_text()
    good.shell(f"echo 'AllowTcpForwarding no' > {config}\n{RELOAD_SSHD}")
    try:
        assert good.redeploy("web").outcome == "nothing_to_do"
        good.file("web", "index.js").write_text(f"{code}// changed\n")
        with pytest.raises(Refused, match=r"forbids to connect to .* port 3000") as raised:
            good.redeploy("web")
        assert "AllowTcpForwarding local" in raised.value.next_step
    finally:
        good.shell(f"rm {config}\n{RELOAD_SSHD}")
    assert good.facts("web").unit.main_pid == pid
    assert good.operations("web")[0].outcome == "refused"
    assert good.steps(good.operations("web")[0].id) == []


def test_variables_of_the_service_are_read_as_the_service(good: Shop) -> None:
    """systemd would read them as root, through whatever link the service has put there."""
    current, config = good.facts("web").current, "deployments/web/service-config.yml"
    before = (good.project / config).read_text()
    good.set("web", **yaml.safe_load(before)["redeploy"], shared=[".env"])
    good.shell("install -o appuser -m 0600 /dev/stdin /opt/web/shared/.env <<'END'\nOWN=one\nEND")
    assert good.redeploy("web").outcome == "done"
    assert variables(good) >= {"OWN=one"}
    assert good.shell("stat -c '%U %a' /opt/web/.quoracy/dotenv") == "root 600\n"
    good.shell("install -m 0600 /dev/stdin /opt/other.env <<'END'\nSTOLEN=yes\nEND")
    good.shell("setpriv --reuid=appuser --clear-groups ln -sf /opt/other.env /opt/web/shared/.env")
    good.shell("kill -KILL $(systemctl show --value -p MainPID web); sleep 2")
    assert {one for one in variables(good) if one.startswith(("OWN", "STOLEN"))} == {"OWN=one"}
    with pytest.raises(RolledBack, match=r"shared/\.env cannot be read by appuser"):
        good.redeploy("web", force=True)
    assert {one for one in variables(good) if one.startswith(("OWN", "STOLEN"))} == {"OWN=one"}
    good.shell("rm -f /opt/web/shared/.env /opt/other.env")
    (good.project / config).write_text(before)
    assert good.rollback("web", to=current or "").outcome == "done"
    assert good.shell("ls /opt/web/.quoracy/dotenv 2>/dev/null || echo none") == "none\n"


def variables(shop: Shop) -> set[str]:
    """The environment of the main process."""
    shown = shop.shell("tr '\\0' '\\n' < /proc/$(systemctl show --value -p MainPID web)/environ")
    return set(shown.splitlines())


def test_a_port_that_something_else_holds_is_refused(shop: Shop) -> None:
    shop.set("api", hosts=(2,))
    listens = "until grep -q :1F40 /proc/net/tcp; do sleep 0.1; done"
    shop.shell(f"systemd-run --unit=squatter python3 -m http.server 8000; {listens}", 2)
    try:
        with pytest.raises(Refused, match="8000"):
            shop.redeploy("api")
    finally:
        shop.shell("systemctl stop squatter", 2)


def test_an_unknown_service_is_a_mistake(shop: Shop) -> None:
    with pytest.raises(UsageError, match="wep"):
        shop.redeploy("wep")


def test_infrastructure_is_refused(shop: Shop) -> None:
    with pytest.raises(UsageError, match="carries no code"):
        shop.redeploy("store")
