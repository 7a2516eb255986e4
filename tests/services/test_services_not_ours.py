"""What is somebody else's on a real host is named and left alone: copies of releases, units, web roots."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from quoracy.errors import QuoracyError, Refused, RolledBack
from quoracy.operation.step import Step
from tests.services.shop import Shop

pytestmark = pytest.mark.lab

QUICK: dict[str, Any] = {
    "activation": None,
    "pre_deploy_hook": None,
    "post_deploy_hook": None,
    "stop_timeout": 2,
    "keep_releases": 2,
}


@pytest.fixture
def web(shop: Shop) -> Iterator[Shop]:
    """A service on an empty host."""
    shop.raze(1)
    config = shop.project / "deployments/web/service-config.yml"
    text = config.read_text()
    shop.set("web", **QUICK)
    shop.version("web", "one")
    yield shop
    config.write_text(text)


def change(shop: Shop, name: str = "web", **settings: object) -> None:
    path = shop.project / f"deployments/{name}/service-config.yml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **settings}))


def test_a_copy_made_by_hand_outlives_all_releases_and_is_none(web: Shop) -> None:
    assert web.redeploy("web").outcome == "done"
    first = web.facts("web").current
    web.shell(
        f"cd /opt/web/releases; cp -a {first} {first}.before-the-sale; cp -a {first} 0ld; "
        "mkdir -p ../deps/mine; echo x > ../deps/mine/.complete; touch -d 2001-01-01 ../deps/mine *"
    )
    listed = "cd /opt/web; find releases/*.before-the-sale releases/0ld deps/mine | sort"
    before = web.shell(listed)
    for version in ("two", "three", "four"):
        web.version("web", version)
        assert web.redeploy("web").outcome == "done"
    found = web.facts("web")
    assert web.shell(listed) == before
    assert set(found.strange) == {
        f"releases/{first}.before-the-sale",
        "releases/0ld",
        "deps/mine",
    }
    # Of our own the two newest are kept: the copies do not count.
    assert len(found.releases) == 2
    assert first not in found.releases
    for to in ("0ld", f"{first}.before"):
        with pytest.raises(Refused, match=f"there is no release {to}"):
            web.rollback("web", to=to)
    with web.opened("web") as redeploy:
        (told,) = redeploy.plan().verdicts
    assert "in /opt/web there is what Quoracy has not made, and leaves alone: " in told.message
    assert "releases/0ld" in told.message


def test_a_link_that_was_led_to_a_copy_is_nothing_to_go_back_to(web: Shop) -> None:
    assert web.redeploy("web").outcome == "done"
    web.version("web", "two")
    assert web.redeploy("web").outcome == "done"
    first = web.facts("web").previous
    web.shell(
        "cd /opt/web; cp -a releases/$(basename $(readlink current)) releases/fixed; "
        "echo fixed > releases/fixed/version.txt; ln -sfn releases/fixed current; "
        "systemctl restart web"
    )
    assert web.facts("web").astray == "releases/fixed"
    web.file("web", "broken.txt").write_text("x")
    code = web.file("web", "index.js").read_text()
    web.file("web", "index.js").write_text("process.exit(1);\n")
    web.set("web", **QUICK, health_check_timeout=4)
    try:
        with pytest.raises(RolledBack):
            web.redeploy("web")
    finally:
        web.file("web", "index.js").write_text(code)
        web.file("web", "broken.txt").unlink()
    assert web.facts("web").current == first
    assert web.shell("cat /opt/web/releases/fixed/version.txt") == "fixed\n"
    assert web.redeploy("web").outcome == "done"


@pytest.mark.parametrize(
    ("unit", "said"),
    [
        ("ssh", r"the unit ssh\.service is not this service's: its file /lib/systemd/system/ssh"),
        ("sshd", r"the unit sshd\.service is another name of ssh\.service"),
        ("dbus", r"the unit dbus\.service is not this service's"),
        ("systemd-journald", r"the unit systemd-journald\.service is not this service's"),
        ("mine", r"the unit mine\.service is not this service's: its file /etc/systemd/system/m"),
        ("masked", r"the unit masked\.service is not this service's"),
        ("passing", r"the unit passing\.service is not this service's: its file /run/systemd/tr"),
        ("held", r"the unit held\.socket is not this service's: its file /etc/systemd/system/h"),
    ],
)
def test_a_unit_of_somebody_elses_is_never_stopped(web: Shop, unit: str, said: str) -> None:
    web.shell(
        "cd /etc/systemd/system; printf '[Service]\\nExecStart=/bin/sleep 1000\\n' > mine.service; "
        "ln -sf /dev/null masked.service; printf '[Socket]\\nListenStream=4711\\n' > held.socket; "
        "systemctl daemon-reload; systemctl start mine held.socket 2>/dev/null; "
        "systemctl is-active -q passing || systemd-run -q --unit=passing sleep 1000"
    )
    running = (
        "systemctl show -p Id,MainPID,ActiveState,FragmentPath ssh dbus mine passing held.socket"
    )
    before = web.shell(running)
    change(web, app_service_name=unit)
    try:
        with pytest.raises(Refused, match=said) as raised:
            web.redeploy("web")
        assert "app_service_name" in raised.value.next_step
        assert web.operations("web")[0].outcome == "refused"
        assert web.shell(running) == before
    finally:
        web.shell(
            "systemctl stop mine held.socket passing; cd /etc/systemd/system; "
            "rm -f mine.service masked.service held.socket; systemctl daemon-reload"
        )


def test_a_unit_that_appears_after_the_plan_is_left_alone_too(web: Shop) -> None:
    """And what is made for the switch: the script asks again before it stops anything."""

    def somebody_elses(step: Step) -> None:
        if step.name == "switch-release":
            web.shell(
                "printf '[Service]\\nExecStart=/bin/sleep 1000\\n' > /etc/systemd/system/web.service; "
                "systemctl daemon-reload; systemctl start web"
            )

    with pytest.raises(QuoracyError, match=r"web\.service is not this service's"):
        web.redeploy_with("web", before=somebody_elses)
    assert web.shell("pgrep -c -x sleep; systemctl is-active web") == "1\nactive\n"
    web.shell("systemctl stop web; rm /etc/systemd/system/web.service; systemctl daemon-reload")


def test_a_directory_of_somebody_elses_keeps_its_owner(web: Shop) -> None:
    web.shell("install -d -m 0750 -o www-data -g www-data /opt/web")
    with pytest.raises(Refused, match="/opt/web is not Quoracy's, and www-data's"):
        web.redeploy("web")
    assert web.shell("stat -c '%U %a' /opt/web") == "www-data 750\n"
    web.shell("rmdir /opt/web")


@pytest.mark.parametrize("there", ["directory", "link"])
def test_a_web_root_of_somebody_elses_goes_on_being_served(shop: Shop, there: str) -> None:
    shop.raze(2)
    shop.set("site", hosts=(2,), health_check_timeout=5)
    make = {
        "directory": "mkdir -p /var/www/site; echo mine > /var/www/site/index.html",
        "link": "mkdir -p /srv/mine /var/www; echo mine > /srv/mine/index.html; "
        "ln -sfn /srv/mine /var/www/site",
    }
    shop.shell(make[there], 2)
    before = shop.shell("stat -c '%F %i' /var/www/site; cat /var/www/site/index.html", 2)
    with pytest.raises(Refused, match=r"/var/www/site is a .* Quoracy has not made it"):
        shop.redeploy("site")
    assert shop.shell("stat -c '%F %i' /var/www/site; cat /var/www/site/index.html", 2) == before
    shop.raze(2)
