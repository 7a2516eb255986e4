"""Files behind nginx on a real host: switched without a restart, and never two versions at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from quoracy.errors import QuoracyError, RollbackFailed, RolledBack, StepFailed
from tests.services.shop import Shop

pytestmark = pytest.mark.lab
SITES = "/etc/nginx/sites-enabled"


@pytest.fixture(scope="module")
def site(shop: Shop) -> Iterator[Shop]:
    """A host whose nginx was told once of the site, as its README says; nginx does not run yet."""
    block = (shop.project / "deployments/site/nginx.conf").read_text()
    shop.shell(f"mkdir -p /root/sites && mv {SITES}/* /root/sites/ 2>/dev/null || :")
    shop.shell(f"cat > {SITES}/default <<'END'\n{block}END\nnginx -t")
    shop.set("site", health_check_timeout=5)
    yield shop
    shop.shell(f"systemctl stop nginx; rm -f {SITES}/*; mv /root/sites/* {SITES}/ 2>/dev/null || :")


def served(shop: Shop) -> tuple[str, str]:
    """The version that the page names, and the one that the asset beside it names."""
    page, asset = shop.ask("site"), shop.ask("site", "/asset.txt")
    named = page.partition("site version=")[2].partition("<")[0]
    return named, asset.strip().removeprefix("site version=")


def nginx(shop: Shop) -> str:
    """The main process, and how often systemd has started it."""
    return shop.shell("systemctl show -p MainPID,NRestarts,ExecMainStartTimestampMonotonic nginx")


@contextmanager
def watched(shop: Shop) -> Iterator[Callable[[], list[tuple[str, str, str]]]]:
    """Ask for asset, page and asset again all the time; a block can see what was answered until then."""
    seen: list[tuple[str, str, str]] = []
    wrong: list[BaseException] = []
    ended = threading.Event()

    def ask() -> None:
        try:
            while not ended.wait(0.005):
                before = shop.ask("site", "/asset.txt").strip().removeprefix("site version=")
                seen.append((before, *served(shop)))
        except (AssertionError, OSError) as error:
            wrong.append(error)

    def so_far() -> list[tuple[str, str, str]]:
        assert not wrong, wrong
        return list(seen)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield so_far
    finally:
        ended.set()
        thread.join()


def test_the_first_time_nginx_is_started_and_serves_it(site: Shop) -> None:
    site.version("site", "one")
    assert site.redeploy("site").outcome == "done"
    assert served(site) == ("one", "one")
    assert site.shell("readlink /var/www/site") == "/opt/site/current/.quoracy/public\n"
    assert site.redeploy("site").outcome == "nothing_to_do"


def test_what_is_not_built_is_not_served(site: Shop) -> None:
    with pytest.raises(AssertionError, match="404"):
        site.ask("site", "/version.txt")


def test_a_change_is_served_by_the_same_nginx_and_never_half(site: Shop) -> None:
    process, before = nginx(site), site.facts("site").current
    site.version("site", "two")
    with watched(site) as answers:
        assert site.redeploy("site").outcome == "done"
        assert served(site) == ("two", "two")
        told = answers()
    assert nginx(site) == process
    assert site.facts("site").previous == before
    assert {asset for asset, _, _ in told} >= {"one"}
    # The switch lies between the two assets, or the page names the version that both name.
    mixed = [each for each in told if each[0] == each[2] and each[1] != each[0]]
    assert mixed == []


def test_the_older_release_is_served_again(site: Shop) -> None:
    process = nginx(site)
    assert site.rollback("site").outcome == "done"
    assert served(site) == ("one", "one")
    assert site.redeploy("site").outcome == "done"
    assert served(site) == ("two", "two")
    assert nginx(site) == process


@pytest.mark.parametrize(
    "broken",
    ["rm dist/index.html", "mv dist/index.html dist/home.html", "chmod 0 dist/index.html"],
    ids=["no page", "another name", "mode that only the controller had"],
)
def test_a_site_without_a_page_is_taken_back(site: Shop, broken: str) -> None:
    process, current = nginx(site), site.facts("site").current
    build = site.file("site", "scripts/build.sh")
    good = build.read_text()
    build.write_text(f"{good}{broken}\n")
    site.version("site", "broken")
    try:
        if broken.startswith("chmod"):
            # Modes are not shipped, only whether a file may be executed: it can be read there.
            assert site.redeploy("site").outcome == "done"
            assert site.rollback("site").outcome == "done"
        else:
            with pytest.raises(RolledBack, match="status 403"):
                site.redeploy("site")
            assert site.operations("site")[0].outcome == "rolled_back"
    finally:
        build.write_text(good)
        site.version("site", "two")
    assert served(site) == ("two", "two")
    assert (site.facts("site").current, nginx(site)) == (current, process)


def test_a_build_that_leaves_nothing_to_serve_is_not_switched_to(site: Shop) -> None:
    build = site.file("site", "scripts/build.sh")
    good = build.read_text()
    build.write_text("#!/bin/sh\necho nothing is made\n")
    try:
        with pytest.raises(QuoracyError, match="dist"):
            site.redeploy("site")
    finally:
        build.write_text(good)
    assert served(site) == ("two", "two")


def test_an_nginx_that_was_stopped_is_found_and_started(site: Shop) -> None:
    site.shell("systemctl stop nginx")
    assert site.redeploy("site").outcome == "done"
    assert served(site) == ("two", "two")


def test_a_web_root_that_somebody_has_moved_is_led_back(site: Shop) -> None:
    process = nginx(site)
    site.shell("ln -sfn /usr/share/nginx/html /var/www/site")
    assert not site.facts("site").web_root.startswith("/opt/site")
    assert site.redeploy("site").outcome == "done"
    assert served(site) == ("two", "two")
    assert site.redeploy("site").outcome == "nothing_to_do"
    assert nginx(site) == process


def test_an_nginx_with_several_sites_is_asked_for_the_right_one(site: Shop) -> None:
    """The default server is another one's; what it says is no proof, and the advice is of use."""
    config = site.project / "deployments/site/service-config.yml"
    wanted, block = config.read_text(), site.shell(f"cat {SITES}/default")
    named = block.replace("listen 80;", "listen 80; server_name shop.example.org;")
    other = "server { listen 80 default_server; return 200 other; }\n"
    site.shell(f"cat > {SITES}/default <<'END'\n{other}{named}END\nsystemctl reload nginx; sleep 1")
    current = site.facts("site").current
    try:
        site.version("site", "three")
        with pytest.raises(RollbackFailed, match="it is not the file of the release") as raised:
            site.redeploy("site")
        assert isinstance(raised.value.__cause__, StepFailed)
        assert raised.value.__cause__.next_step == (
            "let nginx serve /var/www/site on port 80 (see docs/service-config.md), and reload it"
        )
        site.set("site", health_check_host="shop.example.org", health_check_timeout=5)
        assert site.redeploy("site").outcome == "done"
    finally:
        config.write_text(wanted)
        site.shell(f"cat > {SITES}/default <<'END'\n{block}END\nsystemctl reload nginx; sleep 1")
    assert served(site) == ("three", "three")
    site.version("site", "two")
    assert site.redeploy("site").outcome == "done"
    assert site.facts("site").current == current


def test_a_directory_that_nginx_serves_is_adopted(site: Shop) -> None:
    """As the original leaves it: the code flat in /opt/site, what was built copied to /var/www/site."""
    shop = site
    shop.version("site", "two")
    shop.raze()
    shop.shell(
        "install -d /opt/site/scripts /var/www/site; cd /opt/site; touch version.txt "
        "scripts/build.sh index.html; echo '<p>site version=flat</p>' > /var/www/site/index.html; "
        "echo 'site version=flat' > /var/www/site/asset.txt; "
        "chown -R www-data: /var/www/site; systemctl start nginx"
    )
    what = (
        "find /opt/site/* /var/www/site -path '*/releases' -prune -o -printf '%p %y %u %m %i %l\\n'"
    )
    own = "grep -v -E '^/opt/site/(releases|shared|deps)' | sort"
    before, process = shop.shell(f"{what} | {own}"), nginx(shop)
    build = shop.file("site", "scripts/build.sh")
    good = build.read_text()
    build.write_text(f"{good}rm dist/index.html\n")
    with pytest.raises(RolledBack):
        shop.redeploy("site")
    build.write_text(good)
    assert shop.shell(f"{what} | {own}") == before
    assert served(shop) == ("flat", "flat")
    assert shop.redeploy("site").outcome == "done"
    assert served(shop) == ("two", "two")
    assert shop.shell("ls -A /var/www | grep site; ls /opt/site; readlink /var/www/site") == (
        "site\ncurrent\ndeps\nprevious\nreleases\nshared\n/opt/site/current/.quoracy/public\n"
    )
    assert shop.rollback("site", to="flat").outcome == "done"
    assert served(shop) == ("flat", "flat")
    assert shop.redeploy("site").outcome == "done"
    assert served(shop) == ("two", "two")
    assert nginx(shop) == process
