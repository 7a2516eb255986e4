"""Hosts of the original's layout are taken over, with their data, or are left exactly as they were."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import pytest

from quoracy.errors import Refused, RolledBack
from tests.services import flat_host
from tests.services.flat_host import (
    NEW,
    data,
    flat_state,
    lay_out_notes,
    new_code,
    notes,
    require_adopted,
    require_notes,
    written_to,
)
from tests.services.redeploy_process import begin, ended, killed
from tests.services.sample import sample
from tests.services.shop import Shop

pytestmark = pytest.mark.lab


@pytest.fixture
def stop_ms() -> int:
    """How long the service takes to end; tests that act meanwhile want another time."""
    return 0


@pytest.fixture
def web(shop: Shop, stop_ms: int) -> Shop:
    """A flat host, and newer code of the same service."""
    lay_out_notes(shop, stop_ms)
    new_code(shop)
    return shop


def test_files_that_nobody_has_named_stop_it(web: Shop) -> None:
    web.set("web", shared=None)
    before, pid = flat_state(web, "web"), web.facts("web").unit.main_pid
    with pytest.raises(Refused) as raised:
        web.redeploy("web")
    assert raised.value.exit_code == 3
    for name in ("uploads/a photo.jpg", "data.db", ".env"):
        assert name in str(raised.value)
    assert "left-pad" not in str(raised.value)
    assert (flat_state(web, "web"), web.facts("web").unit.main_pid) == (before, pid)
    assert web.shell("ls -A /opt/web | grep -e releases -e quoracy || :") == ""


@pytest.mark.parametrize("activation", [None, "socket"], ids=["restart", "socket"])
def test_adopted_rolled_back_and_forward_again(web: Shop, activation: str | None) -> None:
    new_code(web, activation=activation)
    uploads = web.shell("stat -c %i /opt/web/uploads '/opt/web/uploads/a photo.jpg'")
    with written_to(web):
        assert web.redeploy("web").outcome == "done"
        require_notes(web)
        shared = "/opt/web/shared/uploads"
        assert web.shell(f"stat -c %i {shared} '{shared}/a photo.jpg'") == uploads
        forward = web.facts("web").current
        assert web.redeploy("web").outcome == "nothing_to_do"

        assert web.rollback("web", to="flat").outcome == "done"
        old = notes(web)
        assert (old["version"], old["secret"], old["uploads"]) == (
            "old",
            NEW["secret"],
            NEW["uploads"],
        )
        assert web.shell("ls /opt/web/current/node_modules") == "left-pad\n"
        assert web.facts("web").unit.running_in == "/opt/web/releases/flat"

        assert web.redeploy("web").outcome == "done"
        assert web.facts("web").current == forward
        require_notes(web)
    pids = {line.split()[1] for line in data(web)[1] if line.startswith("app ")}
    assert len(pids) == 4  # the flat one, and after each of the three switches


@pytest.mark.parametrize("activation", sample((None, "socket"), 1))
@pytest.mark.parametrize("way", sample(("it does not start", "it answers 500"), 1))
def test_a_broken_release_leaves_everything_as_it_was(
    web: Shop, way: str, activation: str | None
) -> None:
    new_code(web, activation=activation)
    broken = {
        "it does not start": "process.exit(1);\n",
        "it answers 500": flat_host.NOTES.replace(
            "return response.end('ok\\n')", "return response.writeHead(500).end()"
        ),
    }
    web.file("web", "index.js").write_text(broken[way])
    before, answer = flat_state(web, "web"), notes(web)
    with written_to(web):
        with pytest.raises(RolledBack, match="was put back"):
            web.redeploy("web")
        assert web.operations("web")[0].outcome == "rolled_back"
        assert flat_state(web, "web") == before
        assert notes(web) == answer
        found = web.facts("web")
        assert (found.layout, found.adopting, found.current) == ("flat", False, None)
        assert found.unit.running_in == "/opt/web"
        # What the flat directory is by then is what is kept.
        flat_host.put(web, "/opt/web/uploads/b", "later\n")
        new_code(web, activation=activation)
        assert web.redeploy("web").outcome == "done"
    require_adopted(web)
    assert notes(web) == {**NEW, "uploads": ["a photo.jpg", "b"]}


def test_a_log_that_is_written_to_is_no_hindrance(web: Shop) -> None:
    new_code(web, leave_behind=["*.log"])
    web.shell(
        "head -c 50000000 /dev/zero > /opt/web/app.log; systemd-run -q --unit=logger --collect sh -c "
        "'exec >>/opt/web/app.log; while sleep 0.002; do echo line; done'"
    )
    try:
        assert web.redeploy("web").outcome == "done"
    finally:
        web.shell("systemctl stop logger")
    require_notes(web)
    assert web.shell("ls /opt/web/releases/flat").split() == [
        "app.log",
        "data.db",
        "index.js",
        "node_modules",
        "package.json",
        "uploads",
        "version.txt",
    ]


def test_what_was_changed_after_it_was_put_back_is_what_is_kept(web: Shop) -> None:
    web.file("web", "index.js").write_text("process.exit(1);\n")
    with pytest.raises(RolledBack):
        web.redeploy("web")
    # As the original's next deployment would do.
    flat_host.put(web, "/opt/web/version.txt", "old, changed\n")
    web.shell("systemctl restart web")
    new_code(web)
    assert web.redeploy("web").outcome == "done"
    require_notes(web)
    assert web.rollback("web").outcome == "done"
    assert notes(web)["version"] == "old, changed"


KILLS = [
    ("keep-flat", "during", 0.2),
    ("keep-flat", "after", 0),
    ("adopt-service", "before", 0),
    ("adopt-service", "during", 0.1),
    ("adopt-service", "during", 0.8),
    ("adopt-service", "during", 1.6),
    ("adopt-service", "after", 0),
    ("await-service", "during", 0.3),
    ("await-service", "after", 0),
    ("clear-flat", "during", 0.1),
    ("clear-flat", "after", 0),
]


@pytest.mark.parametrize("stop_ms", [1000])
@pytest.mark.parametrize(("step", "when", "delay_s"), sample(KILLS, 3))
def test_killed_in_an_adoption_it_converges(
    web: Shop, step: str, when: str, delay_s: float
) -> None:
    new_code(web, health_check_stable=1)  # so that there is a middle of the gate
    with written_to(web):
        killed(web, "web", step, 1, when, delay_s)
        outcome = web.redeploy("web").outcome
        assert outcome in (("done", "nothing_to_do") if step == "clear-flat" else ("done",))
        require_notes(web)
        assert web.redeploy("web").outcome == "nothing_to_do"


@pytest.mark.parametrize("step", sample(("adopt-service", "await-service"), 1))
def test_killed_and_then_the_code_is_broken_everything_is_as_it_was(web: Shop, step: str) -> None:
    new_code(web, health_check_stable=1)
    before = flat_state(web, "web")
    with written_to(web):
        killed(web, "web", step, 1, "during", 0.5)
        web.file("web", "index.js").write_text("process.exit(1);\n")
        with pytest.raises(RolledBack):
            web.redeploy("web")
        assert flat_state(web, "web") == before
        assert notes(web)["version"] == "old"


@pytest.fixture
def adopting(web: Shop) -> Iterator[subprocess.Popen[str]]:
    """A redeployment that is in the middle of an adoption: it waits for the old process to end."""
    process = begin(web, "web")
    try:
        while not web.shell("[ ! -e /opt/web/.quoracy/adoption ] || echo yes"):
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@pytest.mark.parametrize("stop_ms", [3000])
def test_a_script_that_dies_on_the_host_is_undone(
    web: Shop, adopting: subprocess.Popen[str]
) -> None:
    web.shell("until parent=$(ps -o ppid= -C systemctl); do sleep 0.02; done; kill -9 $parent")
    _, said = ended(adopting)
    assert "RolledBack" in said
    found = web.facts("web")
    assert (found.layout, found.adopting, found.unit.running_in) == ("flat", False, "/opt/web")
    assert notes(web)["version"] == "old"
    assert web.redeploy("web").outcome == "done"
    require_notes(web)
    assert data(web)[1][0] == "first"


@pytest.mark.parametrize("stop_ms", [3000])
def test_a_host_that_loses_power_in_an_adoption_converges(
    web: Shop, adopting: subprocess.Popen[str]
) -> None:
    host = web.lab.hosts[0].name
    web.lab.power_off(host)
    try:
        adopting.kill()
        ended(adopting)
    finally:
        web.lab.power_on(host)
        web.lab.wait_for_ssh(host)
    assert web.redeploy("web").outcome == "done"
    require_notes(web)
    assert data(web)[1][0] == "first"


OLD_API = """\
import http.server
import os

import greeting


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"old {greeting.TEXT}".encode())


http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Answer).serve_forever()
"""


SCRIPT_OF_THE_VENV = "/opt/api/venv/bin/serve"
BASH = '/bin/bash -c "cd /opt/api && exec venv/bin/python main.py"'


@pytest.mark.parametrize("start", sample((SCRIPT_OF_THE_VENV, BASH), 1))
def test_a_python_service_with_its_venv(shop: Shop, start: str) -> None:
    shop.raze(1)
    shop.shell(
        "id -u appuser >/dev/null 2>&1 || useradd --system --user-group appuser; "
        "python3 -m venv --without-pip /opt/api/venv; "
        "echo 'TEXT = \"from the venv\"' > "
        "$(/opt/api/venv/bin/python -c 'import site; print(site.getsitepackages()[0])')/greeting.py"
    )
    flat_host.put(shop, "/opt/api/main.py", OLD_API)
    script = "#!/opt/api/venv/bin/python\nimport sys\nsys.path.insert(0, '')\nimport main\n"
    flat_host.put(shop, "/opt/api/venv/bin/serve", script, "0755")
    flat_host.begin(shop, "api", flat_host.unit("api", start, 8000))
    before = flat_state(shop, "api")
    shop.set("api", activation=None, health_check_timeout=8)
    shop.version("api", "new")
    good = shop.file("api", "main.py").read_text()
    shop.file("api", "main.py").write_text("raise SystemExit(1)\n")
    with pytest.raises(RolledBack):
        shop.redeploy("api")
    assert flat_state(shop, "api") == before
    shop.file("api", "main.py").write_text(good)
    assert shop.redeploy("api").outcome == "done"
    require_adopted(shop, "api")
    assert "version=new" in shop.ask("api")
    assert shop.rollback("api", to="flat").outcome == "done"
    assert shop.ask("api") == "old from the venv"
    assert shop.redeploy("api").outcome == "done"
    assert "version=new" in shop.ask("api")


def test_a_go_service_with_its_binary(shop: Shop) -> None:
    shop.raze(1)
    shop.set("prices", activation=None, health_check_timeout=8)
    shop.version("prices", "old")
    assert shop.redeploy("prices").outcome == "done"
    shop.shell("cp -a /opt/prices/current/. /root/flat; rm -rf /root/flat/.quoracy")
    shop.raze(1)
    shop.shell("mv -T /root/flat /opt/prices; cp /etc/hostname /opt/prices/go.mod")
    flat_host.begin(shop, "prices", flat_host.unit("prices", "/opt/prices/prices", 8080))
    before = flat_state(shop, "prices")
    assert "version=old" in shop.ask("prices")
    shop.version("prices", "new")
    code = shop.file("prices", "main.go").read_text()
    shop.file("prices", "main.go").write_text(code.replace('"ok"', '"ok"); panic("broken"'))
    with pytest.raises(RolledBack):
        shop.redeploy("prices")
    assert flat_state(shop, "prices") == before
    shop.file("prices", "main.go").write_text(code)
    assert shop.redeploy("prices").outcome == "done"
    require_adopted(shop, "prices")
    assert "version=new" in shop.ask("prices")
    assert shop.rollback("prices", to="flat").outcome == "done"
    assert shop.ask("prices") == "prices release=none version=old\n"
    assert shop.redeploy("prices").outcome == "done"
    assert "version=new" in shop.ask("prices")
