"""What root trusts on a host whose directory is the app user's, and that services keep out of each other's."""

from __future__ import annotations

import re
import shlex
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import yaml

from quoracy.errors import Refused, RolledBack, UsageError
from quoracy.operation.step import Step
from tests.services.flat_host import (
    NEW,
    flat_state,
    lay_out_notes,
    new_code,
    notes,
    require_notes,
    wait_for,
)
from tests.services.redeploy_process import killed
from tests.services.shop import Shop

pytestmark = pytest.mark.lab


@pytest.fixture
def web(shop: Shop) -> Shop:
    """A flat host, and newer code of the same service."""
    lay_out_notes(shop)
    new_code(shop)
    return shop


def as_app_user(shop: Shop, script: str) -> str:
    """What a script of the app user says, with errors, and its exit code in the last line."""
    become = "setpriv --reuid=appuser --regid=appuser --init-groups"
    return shop.shell(f"{become} sh -c {shlex.quote(script)} 2>&1; echo $?")


PLANTED = """\
mkdir -p /opt/web/AT/flat/.quoracy
printf '[Service]\\nExecStart=/usr/bin/touch /root/taken\\n' > /opt/web/AT/flat/.quoracy/unit
"""


@pytest.mark.parametrize("name", ["releases", ".quoracy", "shared", "current"])
def test_what_the_app_user_has_planted_stops_it(web: Shop, name: str) -> None:
    assert as_app_user(web, PLANTED.replace("AT", name)) == "0\n"
    before = flat_state(web, "web")
    with pytest.raises(Refused, match=rf"one of its names: {re.escape(name)}\b"):
        web.redeploy("web")
    assert web.operations("web")[0].outcome == "refused"
    assert flat_state(web, "web") == before
    assert notes(web)["version"] == "old"


SWAPS = (
    "mv /opt/web/releases /opt/web/away",
    "mv /opt/web/.quoracy /opt/web/away",
    "mv /opt/web/releases/* /opt/web/away",
    "rm -rf /opt/web/deps",
    "echo x > $(echo /opt/web/releases/*/.quoracy/unit)",
)


def test_what_is_prepared_the_app_user_cannot_swap(web: Shop) -> None:
    """A run that ends before the switch: the service goes on as before, and a later run knows whose it was."""
    before = flat_state(web, "web")
    killed(web, "web", "keep-flat", 1, "before")
    assert web.shell("stat -c '%U:%G %a' /opt/web") == "root:appuser 1775\n"
    for swap in SWAPS:
        assert "permitted" in (said := as_app_user(web, swap)) or "denied" in said, (swap, said)
    assert as_app_user(web, "cd /opt/web; touch x; mv x y; rm y") == "0\n"
    web.shell("systemctl restart web")
    wait_for(web, "web")
    assert notes(web)["version"] == "old"

    web.file("web", "index.js").write_text("process.exit(1);\n")
    with pytest.raises(RolledBack):
        web.redeploy("web")
    assert flat_state(web, "web") == before
    new_code(web)
    assert web.redeploy("web").outcome == "done"
    require_notes(web)
    assert web.shell("ls '/var/lib/quoracy/service:web'") == "fence\nlock\n"


def test_what_is_planted_before_the_switch_stops_it(web: Shop) -> None:
    before = flat_state(web, "web")
    killed(web, "web", "adopt-service", 1, "before")
    as_app_user(web, "mv /opt/web/shared /opt/web/away; ln -s /etc /opt/web/shared")
    with pytest.raises(Refused, match="one of its names: shared"):
        web.redeploy("web")
    as_app_user(web, "rm /opt/web/shared; mv /opt/web/away /opt/web/shared")

    def plant(step: Step) -> None:
        if step.name == "adopt-service":
            assert as_app_user(web, "mkdir -p /opt/web/current.quoracy-new/x") == "0\n"

    with pytest.raises(RolledBack, match="is in the way: Quoracy has not made it"):
        web.redeploy_with("web", before=plant)
    as_app_user(web, "rm -r /opt/web/current.quoracy-new")
    assert flat_state(web, "web") == before
    assert notes(web)["version"] == "old"
    assert web.redeploy("web").outcome == "done"
    require_notes(web)


@contextmanager
def seen(shop: Shop, script: str) -> Iterator[list[str]]:
    """What a script on the first host says, asked again and again."""
    said: list[str] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            said.append(shop.shell(script))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield said
    finally:
        ended.set()
        thread.join()


def test_a_setuid_file_of_the_app_users_is_never_roots(web: Shop) -> None:
    new_code(web, leave_behind=["tool", "large"])
    as_app_user(web, "cd /opt/web; cp /usr/bin/id tool; chmod 6755 tool .; truncate -s 300M large")
    root_owned = "find /opt/web/releases -user root -perm /6000 2>/dev/null || :"
    with seen(web, root_owned) as said:
        assert web.redeploy("web").outcome == "done"
    assert len(said) > 3
    assert set(said) == {""}
    assert web.shell("stat -c '%U %a' /opt/web/releases/flat/tool") == "root 755\n"
    require_notes(web)


def test_a_place_that_is_kept_for_another_service_is_left_alone(web: Shop) -> None:
    assert web.redeploy("web").outcome == "done"
    deployments = web.project / "deployments"
    config = yaml.safe_load((deployments / "web/service-config.yml").read_text())
    config |= {"service_name": "shop", "local_app_path": "../../services/web"}
    path = deployments / "shop/service-config.yml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump({**config, "app_dir": "/opt/web"}))
    try:
        with pytest.raises(UsageError, match="the same directory /opt/web"):
            web.redeploy("web")
        # As another project has it.
        (deployments / "web").rename(web.project / "web")
        with pytest.raises(Refused, match="/opt/web is kept for service:web"):
            web.redeploy("shop")
        own = {"app_dir": "/opt/shop", "app_service_name": "web"}
        path.write_text(yaml.safe_dump({**config, **own}))
        with pytest.raises(Refused, match=r"web\.service was installed for service:web"):
            web.redeploy("shop")
    finally:
        path.unlink()
        path.parent.rmdir()
        (web.project / "web").rename(deployments / "web")
    assert notes(web) == NEW
    assert web.redeploy("web").outcome == "nothing_to_do"


def test_what_somebody_has_given_to_the_app_user_is_not_trusted_any_more(web: Shop) -> None:
    """As the original's deployment does with all that lies in the directory."""
    assert web.redeploy("web").outcome == "done"
    pid = web.facts("web").unit.main_pid
    web.shell("chown -R appuser: /opt/web")
    new_code(web)
    web.version("web", "newer")
    with pytest.raises(Refused, match="not root's any more"):
        web.redeploy("web")
    with pytest.raises(Refused, match="not root's any more"):
        web.rollback("web")
    assert web.facts("web").unit.main_pid == pid
    assert notes(web) == NEW
    # As the documentation says.
    web.shell(
        "cd /opt/web; chown -h root . current previous; chown -R -h root releases deps .quoracy"
    )
    assert web.redeploy("web", force=True).outcome == "done"
    assert notes(web)["version"] == "newer"
    assert web.rollback("web", to="flat").outcome == "done"
    assert notes(web)["version"] == "old"
