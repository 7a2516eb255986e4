"""What clients with a cache get: a changed file is fetched again, on every host, and an unchanged one is not."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import pytest

from quoracy.errors import RolledBack
from quoracy.operation.step import Step
from tests.services.shop import Shop

pytestmark = pytest.mark.lab

HOSTS = (1, 2)
SITES = "/etc/nginx/sites-enabled"


@pytest.fixture(scope="module")
def site(shop: Shop) -> Iterator[Shop]:
    """nginx on two hosts, which answers If-Modified-Since by date, as most servers do."""
    block = (shop.project / "deployments/site/nginx.conf").read_text()
    by_date = block.replace("listen 80;", "listen 80; if_modified_since before;")
    assert by_date != block
    for host in HOSTS:
        shop.shell(f"mkdir -p /root/sites && mv {SITES}/* /root/sites/ 2>/dev/null || :", host)
        shop.shell(f"cat > {SITES}/default <<'END'\n{by_date}END\nnginx -t", host)
    shop.set("site", hosts=HOSTS, health_check_timeout=5, batch=1)
    # What never changes, beside what each version changes.
    build = shop.file("site", "scripts/build.sh")
    text = build.read_text()
    build.write_text(f"{text}echo always > dist/always.txt\n")
    yield shop
    build.write_text(text)
    for host in HOSTS:
        shop.shell(f"systemctl stop nginx; rm -f {SITES}/*; mv /root/sites/* {SITES}/", host)


class Client:
    """A client that has asked once, and asks again whether what it has is still right."""

    def __init__(self, shop: Shop, path: str = "/asset.txt") -> None:
        self.shop, self.path = shop, path
        self.known: dict[str, str] = {}
        self.body = ""

    def fetch(self, host: int = 1) -> int:
        address = self.shop.lab.hosts[host - 1].address
        connection = http.client.HTTPConnection(address, 80, timeout=10)
        try:
            since = self.known.get("Last-Modified")
            connection.request(
                "GET", self.path, headers={"If-Modified-Since": since} if since else {}
            )
            answer = connection.getresponse()
            body = answer.read().decode()
        finally:
            connection.close()
        if answer.status == 200:
            self.known = {name: answer.headers[name] for name in ("Last-Modified", "ETag")}
            self.body = body
        return answer.status


def told(shop: Shop, path: str) -> set[tuple[str, str]]:
    """Time and ETag of a file, on all hosts."""
    found = set()
    for host in HOSTS:
        client = Client(shop, path)
        assert client.fetch(host) == 200
        found.add((client.known["Last-Modified"], client.known["ETag"]))
    return found


def require_fresh(client: Client, version: str) -> None:
    """Whatever the client had: it has the version now, and is told so from both hosts."""
    for host in HOSTS:
        client.fetch(host)
        assert client.body == f"site version={version}\n", (version, host)
        assert client.fetch(host) == 304
    assert len(told(client.shop, client.path)) == 1


def test_no_client_keeps_what_has_changed(site: Shop) -> None:
    """Many versions: with times that are anything, every other one would look older than the one before."""
    client, always = Client(site), None
    for version in ("one", "two", "three", "four", "five"):
        site.version("site", version)
        assert site.redeploy("site").outcome == "done"
        require_fresh(client, version)
        always = always or told(site, "/always.txt")
        assert told(site, "/always.txt") == always
        assert len(always) == 1


def test_a_rollback_is_seen_too_and_so_is_the_way_forward(site: Shop) -> None:
    client = Client(site)
    always = told(site, "/always.txt")
    require_fresh(client, "five")
    assert site.rollback("site").outcome == "done"
    require_fresh(client, "four")
    assert site.redeploy("site").outcome == "done"
    require_fresh(client, "five")
    site.version("site", "three")  # a release that is on the hosts already
    assert site.redeploy("site").outcome == "done"
    require_fresh(client, "three")
    assert told(site, "/always.txt") == always


def test_what_a_broken_release_has_served_is_fetched_again(site: Shop) -> None:
    build = site.file("site", "scripts/build.sh")
    good = build.read_text()
    build.write_text(f"{good}rm dist/index.html\n")
    site.version("site", "broken")
    asset, seen = Client(site), []

    def look(step: Step) -> None:
        if step.name == "switch-release":
            seen.append((asset.fetch(), asset.body))

    try:
        with pytest.raises(RolledBack):
            site.redeploy_with("site", after=look)
    finally:
        build.write_text(good)
    assert seen == [(200, "site version=broken\n")]
    assert asset.fetch() == 200
    assert asset.body == "site version=three\n"
    site.version("site", "three")
    assert site.redeploy("site").outcome == "nothing_to_do"
    site.version("site", "six")
    assert site.redeploy("site").outcome == "done"
    require_fresh(asset, "six")


def test_a_host_that_comes_later_has_the_same_times(site: Shop) -> None:
    before = told(site, "/asset.txt"), told(site, "/always.txt")
    site.raze(2)
    block = site.shell(f"cat {SITES}/default")
    site.shell(f"cat > {SITES}/default <<'END'\n{block}END\n", 2)
    assert site.redeploy("site").outcome == "done"
    assert (told(site, "/asset.txt"), told(site, "/always.txt")) == before
