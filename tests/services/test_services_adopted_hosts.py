"""Several hosts of the original's layout: one may be adopted while another one stays as it was."""

from __future__ import annotations

import pytest

from quoracy.errors import RolledBack
from tests.services import flat_host
from tests.services.flat_host import flat_state, lay_out_notes, new_code, notes, require_notes
from tests.services.shop import Shop

pytestmark = pytest.mark.lab


@pytest.fixture
def web(shop: Shop) -> Shop:
    """Two flat hosts, and newer code of the same service."""
    for host in (1, 2):
        lay_out_notes(shop, host=host)
    new_code(shop, hosts=(1, 2))
    return shop


def test_of_two_hosts_each_is_adopted_or_left_as_it_was(web: Shop) -> None:
    web.file("web", "index.js").write_text(
        "if (require('node:fs').existsSync('/opt/broken')) process.exit(1);\n" + flat_host.NOTES
    )
    web.shell("touch /opt/broken", 2)
    before = flat_state(web, "web", 2)
    try:
        with pytest.raises(RolledBack) as raised:
            web.redeploy("web")
    finally:
        web.shell("rm -f /opt/broken", 2)
    first, second = (web.lab.hosts[number].name for number in (0, 1))
    assert raised.value.where == second
    (kept,) = raised.value.__notes__
    assert kept.startswith(f"{first} keeps what was changed there")
    require_notes(web)
    assert flat_state(web, "web", 2) == before
    assert notes(web, 2)["version"] == "old"
    found = web.facts("web", 2)
    assert (found.layout, found.adopting, found.current) == ("flat", False, None)
    assert found.unit.running_in == "/opt/web"

    # The way back that the message names leaves the host alone that has never left its directory.
    assert "--to flat" in kept
    assert web.rollback("web", to="flat").outcome == "done"
    assert notes(web)["version"] == "old"
    assert flat_state(web, "web", 2) == before
    assert web.redeploy("web").outcome == "done"
    require_notes(web)
    require_notes(web, 2)
    assert web.redeploy("web").outcome == "nothing_to_do"


def test_when_the_first_of_two_fails_the_second_goes_on_flat(web: Shop) -> None:
    web.file("web", "index.js").write_text("process.exit(1);\n")
    first, second, pid = (
        flat_state(web, "web"),
        flat_state(web, "web", 2),
        web.facts("web", 2).unit.main_pid,
    )
    with pytest.raises(RolledBack):
        web.redeploy("web")
    assert flat_state(web, "web") == first
    # All hosts are staged before any is switched: there the directory is root's by now, and no more.
    assert flat_state(web, "web", 2) == second.replace(
        "appuser:appuser 755\n", "root:appuser 1775\n", 1
    )
    assert web.facts("web", 2).unit.main_pid == pid
    new_code(web, hosts=(1, 2))
    assert web.redeploy("web").outcome == "done"
    require_notes(web)
    require_notes(web, 2)
