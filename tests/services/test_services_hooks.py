"""What hooks and builds on a host leave running there, and how they are stopped."""

from __future__ import annotations

import pytest

from quoracy.errors import Refused, RolledBack, StepFailed
from tests.services.redeploy_process import killed
from tests.services.shop import Shop

pytestmark = pytest.mark.lab
HOOK = "scripts/hook.sh"


def left(shop: Shop) -> list[str]:
    """The sleeping processes of the service's user, which no service of the shop has by itself."""
    return shop.shell("pgrep -u appuser -a sleep || :").split("\n")[:-1]


def hook(shop: Shop, text: str) -> None:
    shop.file("web", HOOK).write_text(f"{text}\n")


def output(shop: Shop, operation: str, step: str) -> str:
    (found,) = [one for one in shop.steps(operation) if one.name == step]
    return found.detail or ""


def test_a_hook_is_refused_where_nothing_could_start_it(shop: Shop) -> None:
    shop.set("web", post_deploy_hook=HOOK)
    hook(shop, "echo never")
    bus = "/run/dbus/system_bus_socket"
    shop.shell(f"mv {bus} {bus}.away")
    try:
        with pytest.raises(Refused, match="systemd-run needs to run the hook after the switch"):
            shop.redeploy("web")
    finally:
        shop.shell(f"mv {bus}.away {bus}")
    assert shop.facts("web").current is None


def test_what_a_hook_leaves_in_the_background_ends_with_it(shop: Shop) -> None:
    shop.set("web", post_deploy_hook=HOOK)
    hook(shop, "sleep 600 &\nsetsid nohup sleep 601 &\necho two are left")
    report = shop.redeploy("web")
    assert report.outcome == "done"
    assert output(shop, report.operation_id, "run-hook-after") == "1 line of output"
    assert left(shop) == []
    facts = shop.facts("web")
    assert facts.releases[facts.current or ""].healthy


def test_a_hook_that_fails_is_believed_whatever_it_leaves(shop: Shop) -> None:
    serving = shop.facts("web").current
    hook(shop, "setsid sleep 600 &\necho no use\nexit 7")
    with pytest.raises(RolledBack, match="exit code 7") as failed:
        shop.redeploy("web")
    assert "no use" in str(failed.value)
    assert left(shop) == []
    assert shop.facts("web").current == serving


def test_a_hook_that_hangs_and_ignores_the_end_is_killed_with_its_children(shop: Shop) -> None:
    shop.set("web", post_deploy_hook=None, pre_deploy_hook=HOOK, hook_timeout=1)
    hook(shop, "trap '' TERM\nsleep 600 &\nwhile :; do sleep 601; done")
    with pytest.raises(StepFailed, match="did not end within 1 s and was stopped"):
        shop.redeploy("web")
    assert left(shop) == []


def test_a_hook_whose_controller_was_killed_ends_at_its_limit(shop: Shop) -> None:
    shop.set("web", pre_deploy_hook=HOOK, hook_timeout=5)
    hook(shop, "sleep 600 & sleep 601")
    killed(shop, "web", "run-hook-before", 1, "during", delay_s=2)
    hook(shop, "true")
    # It waits for what the dead controller has left: the lock on the host is free only then.
    assert shop.redeploy("web").outcome == "done"
    assert left(shop) == []


def test_a_build_on_the_host_is_run_as_it_is_written(shop: Shop) -> None:
    """systemd would replace $name and $$ in a unit's command by itself."""
    command = 'name=built; setsid sleep 600 & echo "$name ${name} $$$$ %n" | tr -d 0-9 > made.txt'
    shop.set("web", pre_deploy_hook=None, hook_timeout=None, build=command, build_on="host")
    assert shop.redeploy("web").outcome == "done"
    assert shop.shell("cat /opt/web/current/made.txt") == "built built  %n\n"
    assert left(shop) == []
