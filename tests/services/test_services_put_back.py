"""What is left when something was put back: who runs what, what counts as proven, and what the error says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from quoracy.errors import QuoracyError, RollbackFailed, RolledBack
from tests.services.shop import Shop

pytestmark = pytest.mark.lab

HOSTS = (1, 2, 3)
QUICK: dict[str, Any] = {
    "activation": None,
    "pre_deploy_hook": None,
    "post_deploy_hook": None,
    "health_check_timeout": 4,
    "stop_timeout": 2,
}
SICK = "if (require('node:fs').existsSync('/run/sick')) process.exit(1);\n"


@pytest.fixture
def code(shop: Shop) -> Iterator[Path]:
    """The service's main file, which ends where the host is sick; on empty hosts."""
    path = shop.file("web", "index.js")
    text = path.read_text()
    path.write_text(SICK + text)
    yield path
    path.write_text(text)
    for host in HOSTS:
        shop.shell("rm -f /run/sick", host)
    shop.raze()


def require_serving(shop: Shop, version: str, *hosts: int) -> None:
    for host in hosts:
        assert f"version={version}\n" in shop.ask("web", host=host)


def test_the_error_says_who_keeps_the_new_release_and_how_to_take_it_back(
    shop: Shop, code: Path
) -> None:
    shop.set("web", hosts=HOSTS, batch=2, **QUICK)
    shop.version("web", "one")
    assert shop.redeploy("web").outcome == "done"
    before = shop.facts("web").current
    shop.version("web", "two")
    first, sick, third = (shop.lab.hosts[number - 1].name for number in HOSTS)
    shop.shell("touch /run/sick", 2)
    with pytest.raises((RolledBack, RollbackFailed)) as raised:
        shop.redeploy("web")
    assert raised.value.where == sick
    command = f"`quoracy service rollback web --to {before}` takes all hosts back"
    said = f"{first}, {third} keep what was changed there; {command}"
    assert raised.value.__notes__ == [said]
    assert said in str(shop.operations("web")[0].error)
    require_serving(shop, "two", 1, 3)
    shop.shell("rm /run/sick", 2)
    assert shop.rollback("web", to=before or "").outcome == "done"
    require_serving(shop, "one", *HOSTS)


def test_a_release_that_was_put_back_and_is_not_healthy_is_not_called_done(
    shop: Shop, code: Path
) -> None:
    shop.set("web", **QUICK)
    shop.version("web", "one")
    assert shop.redeploy("web").outcome == "done"
    current = str(shop.facts("web").current)
    works = code.read_text()
    code.write_text("process.exit(1);\n")
    shop.shell("touch /run/sick")
    with pytest.raises(RollbackFailed):
        shop.redeploy("web")
    found = shop.facts("web")
    assert found.current == current
    assert (found.releases[current].healthy, found.releases[current].proven) == (False, True)

    code.write_text(works)
    shop.shell("rm /run/sick; systemctl reset-failed web; systemctl start web")
    report = shop.redeploy("web")
    assert report.outcome == "done"
    assert [step.name for _, step in report.plan.steps] == ["switch-release", "await-service"]
    assert shop.facts("web").releases[current].healthy
    require_serving(shop, "one", 1)
    assert shop.redeploy("web").outcome == "nothing_to_do"


def run_as(shop: Shop, user: str) -> None:
    path = shop.project / "deployments/web/service-config.yml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "app_user": user}))


def test_another_user_and_directories_that_are_gone_are_made_before_the_switch(
    shop: Shop, code: Path
) -> None:
    shop.set("web", shared=["uploads"], **QUICK)
    shop.version("web", "one")
    assert shop.redeploy("web").outcome == "done"
    run_as(shop, "webuser")
    with pytest.raises(
        QuoracyError, match="webuser may not write to /opt/web/shared; give it"
    ) as no:
        shop.redeploy("web")
    assert not isinstance(no.value, RolledBack)
    require_serving(shop, "one", 1)
    shop.shell("chown -R webuser: /opt/web/shared/")
    assert shop.redeploy("web").outcome == "done"
    assert shop.shell("ps -o user= -p $(systemctl show --value -p MainPID web)") == "webuser\n"

    shop.shell("rm -rf /opt/web/shared")
    shop.version("web", "two")
    assert shop.redeploy("web").outcome == "done"
    require_serving(shop, "two", 1)
    assert shop.shell("stat -c %U /opt/web/shared/uploads") == "webuser\n"
    steps = shop.steps(shop.operations("web")[0].id)
    assert steps[0].name == "prepare-service"
