"""Files of the code that the service has written to itself: no adoption takes them out of sight."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from quoracy.errors import Refused
from tests.services import flat_host
from tests.services.flat_host import data, flat_state, lay_out_notes, notes
from tests.services.shop import Shop

pytestmark = pytest.mark.lab

QUICK: dict[str, Any] = {
    "activation": None,
    "pre_deploy_hook": None,
    "post_deploy_hook": None,
    "health_check_timeout": 8,
    "stop_timeout": 5,
}


@pytest.fixture
def web(shop: Shop) -> Iterator[Shop]:
    """A flat host, and newer code that brings a database and a table of prices to begin with."""
    lay_out_notes(shop)
    shop.set("web", shared=["uploads", ".env"], **QUICK)
    shop.file("web", "index.js").write_text(flat_host.NOTES)
    shop.file("web", "data.db").write_text("seed\n")
    shop.file("web", "prices.json").write_text("{}\n")
    flat_host.put(shop, "/opt/web/prices.json", "{}\n")
    shop.version("web", "new")
    yield shop
    for name in ("data.db", "prices.json"):
        shop.file("web", name).unlink(missing_ok=True)
    shop.raze()


def refused(shop: Shop) -> str:
    with pytest.raises(Refused) as raised:
        shop.redeploy("web")
    return str(raised.value)


def test_what_the_service_has_written_over_the_code_is_named_and_then_kept(web: Shop) -> None:
    before, rows = flat_state(web, "web"), len(data(web)[1])
    said = refused(web)
    assert "1 files are in the code and are others in /opt/web" in said
    assert "databases: data.db [" in said
    # Older code, which was there at the start, is no hindrance; what was changed since is. systemd tells
    # the start in whole seconds, so the next one does not count either.
    web.shell("sleep 2")
    flat_host.put(web, "/opt/web/prices.json", '{"tea": 3}\n')
    assert "databases: data.db, prices.json [" in refused(web)
    web.shell("systemctl restart web")
    assert "databases: data.db [" in refused(web)
    assert flat_state(web, "web").splitlines()[0] == before.splitlines()[0]

    web.set("web", shared=["uploads", ".env", "data.db"], **QUICK)
    assert web.redeploy("web").outcome == "done"
    assert notes(web)["version"] == "new"
    _, kept = data(web)
    assert kept[0] == "first"
    assert len(kept) > rows


def test_what_the_code_replaces_is_said_so(web: Shop) -> None:
    web.set("web", shared=["uploads", ".env"], leave_behind=["data.db"], **QUICK)
    web.file("web", "index.js").write_text(flat_host.NOTES.replace("'data.db'", "'uploads/data'"))
    assert web.redeploy("web").outcome == "done"
    assert web.shell("cat /opt/web/current/data.db") == "seed\n"
    assert "first" in web.shell("cat /opt/web/releases/flat/data.db")
