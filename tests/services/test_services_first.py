"""A service that has never been healthy: its failures are told as what they are, with its last words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from quoracy.errors import RollbackFailed, RolledBack, StepFailed
from tests.services.shop import Shop

pytestmark = pytest.mark.lab

QUICK: dict[str, Any] = {
    "activation": None,
    "pre_deploy_hook": None,
    "post_deploy_hook": None,
    "health_check_timeout": 4,
    "stop_timeout": 2,
}
TALKS = """\
for (let n = 1; n <= 40; n += 1) console.log(`line ${n}`);
setInterval(() => {}, 1000);
"""


@pytest.fixture
def web(shop: Shop) -> Iterator[Shop]:
    shop.raze(1)
    shop.set("web", **QUICK)
    path = shop.file("web", "index.js")
    code = path.read_text()
    yield shop
    path.write_text(code)


def fail(shop: Shop, code: str) -> StepFailed:
    shop.file("web", "index.js").write_text(code)
    with pytest.raises(StepFailed) as raised:
        shop.redeploy("web")
    return raised.value


def test_where_nothing_was_ever_healthy_there_is_nothing_to_go_back_to(web: Shop) -> None:
    good = web.file("web", "index.js").read_text()
    for code in ("process.exit(1);\n", "process.exit(2);\n"):
        error = fail(web, code)
        assert not isinstance(error, RolledBack | RollbackFailed)
        assert "there was no release to go back to, so the new one stays as it is" in str(error)
        assert web.operations("web")[0].outcome == "failed"
    web.file("web", "index.js").write_text(good)
    web.version("web", "good")
    assert web.redeploy("web").outcome == "done"
    error = fail(web, "process.exit(3);\n")
    assert isinstance(error, RolledBack)
    assert "no release to go back to" not in str(error)
    assert web.ask("web").endswith("version=good\n")


def test_the_last_words_are_the_last(web: Shop) -> None:
    said = str(fail(web, TALKS))
    assert [line for line in said.splitlines() if line.startswith("    line ")] == [
        f"    line {n}" for n in range(21, 41)
    ]
