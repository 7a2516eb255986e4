"""Real services of each type on real hosts: redeployed, changed, rolled back, found serving."""

from __future__ import annotations

import pytest

from tests.services.sample import sample
from tests.services.shop import Shop

pytestmark = pytest.mark.lab
NAMED = ["web", "api", "prices"]


@pytest.mark.parametrize("name", NAMED)
class TestRuntimes:
    """A service with a process of its own; the tests go on from one another."""

    def test_the_first_time_all_is_sent_and_it_serves(self, shop: Shop, name: str) -> None:
        shop.set(name)
        shop.version(name, "one")
        report = shop.redeploy(name)
        assert report.outcome == "done"
        assert f"{name} release={shop.facts(name).current} version=one" in shop.ask(name)

    def test_again_nothing_is_done(self, shop: Shop, name: str) -> None:
        pid = shop.facts(name).unit.main_pid
        assert shop.redeploy(name).outcome == "nothing_to_do"
        assert shop.facts(name).unit.main_pid == pid

    def test_a_changed_file_is_sent_alone(self, shop: Shop, name: str) -> None:
        before = shop.facts(name).current
        shop.version(name, "two")
        report = shop.redeploy(name)
        facts = shop.facts(name)
        assert (facts.previous, facts.releases[facts.current or ""].healthy) == (before, True)
        assert shop.ask(name) == f"{name} release={facts.current} version=two\n"
        assert shop.ask(name, "/asset.txt") == f"{name} release={facts.current} version=two\n"
        (staged,) = [s for s in shop.steps(report.operation_id) if s.name == "stage-release"]
        # Go's binary holds no version: only the file that does is sent.
        assert staged.detail.startswith("1 changed, 0 deleted")

    def test_the_older_release_serves_again(self, shop: Shop, name: str) -> None:
        older = shop.facts(name).previous
        assert shop.rollback(name).outcome == "done"
        assert shop.ask(name) == f"{name} release={older} version=one\n"


# The same for all runtimes, and on the state that the tests above leave.
@pytest.mark.parametrize("name", sample(NAMED, 1))
class TestMadeAgain:
    """What serves already is made a second time, because somebody wants it or it has drifted."""

    def test_forced_it_is_made_anew(self, shop: Shop, name: str) -> None:
        assert shop.redeploy(name).outcome == "done"
        before = shop.facts(name)
        assert shop.redeploy(name, force=True).outcome == "done"
        after = shop.facts(name)
        assert after.current != before.current
        assert after.unit.main_pid != before.unit.main_pid

    def test_a_drifted_file_is_found_and_mended(self, shop: Shop, name: str) -> None:
        assert shop.redeploy(name, verify=True).outcome == "nothing_to_do"
        shop.shell(f"echo drifted > /opt/{name}/current/version.txt")
        assert shop.redeploy(name).outcome == "nothing_to_do"
        assert shop.redeploy(name, verify=True).outcome == "done"
        assert "version=two" in shop.ask(name)


def test_what_is_deleted_goes(shop: Shop) -> None:
    shop.set("web")
    extra = shop.file("web", "a name with 'quotes' and $(blanks).txt")
    extra.write_text("here")
    assert shop.redeploy("web").outcome == "done"
    assert "quotes" in shop.shell("ls /opt/web/current/")
    extra.unlink()
    assert shop.redeploy("web").outcome == "done"
    assert "quotes" not in shop.shell("ls /opt/web/current/")


def test_old_releases_go_but_never_what_may_be_needed(shop: Shop) -> None:
    shop.set("web", keep_releases=2)
    for number in range(4):
        shop.version("web", f"keep {number}")
        assert shop.redeploy("web").outcome == "done"
    facts = shop.facts("web")
    assert {facts.current, facts.previous} == set(facts.releases)


def test_several_hosts_one_first(shop: Shop) -> None:
    shop.set("web", hosts=(1, 2, 3), keep_releases=None)
    shop.version("web", "many")
    report = shop.redeploy("web")
    assert [group.title for group in report.plan.groups][1:] == [
        shop.lab.hosts[0].name,
        f"{shop.lab.hosts[1].name}, {shop.lab.hosts[2].name}",
    ]
    assert all("version=many" in shop.ask("web", host=number) for number in (1, 2, 3))
