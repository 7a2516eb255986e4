"""A flat service whose unit leaves processes when it is stopped: they end with the adoption, and with its undo."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from quoracy.errors import RolledBack
from tests.services.flat_host import begin, put, unit
from tests.services.shop import Shop

pytestmark = pytest.mark.lab
HOST = 3
WRAPPER = """\
require('node:child_process').spawn(process.execPath, ['child.js'], { detached: true });
setInterval(() => {}, 1000);
"""


@pytest.fixture(params=["process", "none"])
def wrapped(shop: Shop, request: pytest.FixtureRequest) -> Iterator[Shop]:
    """The flat directory of a wrapper and its child, which is in a session of its own."""
    shop.set(
        "web",
        hosts=(HOST,),
        activation=None,
        pre_deploy_hook=None,
        post_deploy_hook=None,
        health_check_timeout=5,
        stop_timeout=3,
        leave_behind=["child.js"],
    )
    code = shop.file("web", "index.js").read_text()
    user = "id -u appuser >/dev/null 2>&1 || useradd --system --user-group appuser"
    shop.shell(f"{user}; install -d -o appuser -g appuser /opt/web", HOST)
    for name, text in {"index.js": WRAPPER, "child.js": code, "version.txt": "flat\n"}.items():
        put(shop, f"/opt/web/{name}", text, host=HOST)
    more = f"KillMode={request.param}\n"
    begin(shop, "web", unit("web", "/usr/bin/node index.js", 3000, more), HOST)
    yield shop
    shop.file("web", "index.js").write_text(code)
    shop.shell("pkill -KILL -u appuser node || :", HOST)
    shop.raze(HOST)


def test_the_old_child_does_not_outlive_the_adoption(wrapped: Shop) -> None:
    code = wrapped.file("web", "index.js").read_text()
    wrapped.file("web", "index.js").write_text("process.exit(1)\n")
    with pytest.raises(RolledBack):
        wrapped.redeploy("web")
    assert wrapped.ask("web", host=HOST) == "web release=none version=flat\n"
    assert wrapped.shell("pgrep -c -u appuser -x node", HOST) == "2\n"
    wrapped.file("web", "index.js").write_text(code)
    wrapped.version("web", "new")
    assert wrapped.redeploy("web").outcome == "done"
    current = wrapped.facts("web", HOST).current
    assert wrapped.ask("web", host=HOST) == f"web release={current} version=new\n"
    assert wrapped.shell("pgrep -c -u appuser -x node", HOST) == "1\n"
