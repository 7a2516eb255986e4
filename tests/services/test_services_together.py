"""Two redeployments at once, hosts that are away or unknown, and hosts that die in the middle."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from quoracy.errors import LeaseHeld, QuoracyError, Refused
from quoracy.home import Home
from quoracy.operation.step import Step
from quoracy.services.redeploy import ServiceRedeploy
from quoracy.services.site import ServiceSite
from tests.controller import home_in
from tests.services.redeploy_process import begin, ended
from tests.services.shop import ASKED, Shop

pytestmark = pytest.mark.lab

HOSTS = (1, 2, 3)


@pytest.fixture(scope="module")
def web(shop: Shop) -> Shop:
    shop.set("web", hosts=HOSTS, activation=None, batch=1)
    shop.version("web", "begun")
    assert shop.redeploy("web").outcome == "done"
    return shop


@pytest.fixture
def config(web: Shop) -> Iterator[Path]:
    """The config, which is as it was after the test."""
    path = web.project / "deployments/web/service-config.yml"
    text = path.read_text()
    yield path
    path.write_text(text)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Home:
    """Another controller with a database of its own."""
    return home_in(tmp_path)


def require_serving(shop: Shop, version: str, hosts: tuple[int, ...] = HOSTS) -> None:
    for host in hosts:
        current = shop.facts("web", host).current
        assert shop.ask("web", host=host) == f"web release={current} version={version}\n"


def staged(shop: Shop) -> list[str]:
    return [shop.shell("ls -A /opt/web/releases; readlink /opt/web/current", one) for one in HOSTS]


def before_steps(redeploy: ServiceRedeploy, act) -> None:
    carry_out = redeploy.apply_step

    def apply_step(step: Step, site: ServiceSite) -> str:
        act(step)
        return carry_out(step, site)

    redeploy.apply_step = apply_step


class TestTogether:
    """One wins, the other is refused in words; nothing is mixed."""

    def test_of_the_same_database_the_second_gets_the_holder_named(self, web: Shop) -> None:
        web.version("web", "same")
        refused: list[LeaseHeld] = []

        def again(step: Step) -> None:
            if step.name in ("switch-release", "await-service"):
                with pytest.raises(LeaseHeld) as refusal:
                    web.redeploy("web", force=True)
                refused.append(refusal.value)

        with web.opened("web") as redeploy:
            before_steps(redeploy, again)
            assert redeploy.run(redeploy.plan(), ASKED).outcome == "done"
        assert len(refused) == 2 * len(HOSTS)
        assert all("works on it since" in one.what for one in refused)
        assert all(one.exit_code == 3 and one.next_step for one in refused)
        require_serving(web, "same")

    def test_another_controller_is_refused_by_the_hosts(self, web: Shop, elsewhere: Home) -> None:
        web.version("web", "two databases")
        refused: list[str] = []

        def from_elsewhere(step: Step) -> None:
            first = step.host == web.lab.hosts[0].name
            if step.name == "switch-release" or (step.name == "await-service" and first):
                refused.append(ended(begin(web, "web", home=elsewhere))[1])

        with web.opened("web") as redeploy:
            before_steps(redeploy, from_elsewhere)
            assert redeploy.run(redeploy.plan(), ASKED).outcome == "done"
        last = [told.splitlines()[-1] for told in refused]
        assert len(last) == len(HOSTS) + 1
        assert all(one.startswith("LeaseHeld") for one in last), last
        assert all("another operation acted there within the last minute" in one for one in last)
        require_serving(web, "two databases")
        assert web.redeploy("web").outcome == "nothing_to_do"

    @pytest.mark.parametrize("databases", [1, 2])
    def test_begun_at_once_no_host_gets_something_of_both(
        self, web: Shop, elsewhere: Home, tmp_path: Path, databases: int
    ) -> None:
        """Two projects, as of two people; what serves afterwards is one of them, everywhere or nowhere."""
        theirs = Shop.__new__(Shop)
        theirs.lab, theirs.home = web.lab, elsewhere if databases == 2 else web.home
        theirs.project = tmp_path / "theirs"
        shutil.copytree(web.project, theirs.project)
        web.version("web", f"ours {databases}")
        theirs.version("web", f"theirs {databases}")
        processes = [begin(web, "web"), begin(theirs, "web")]
        last = [ended(one)[1].splitlines()[-1] for one in processes]
        assert all(one == "done" or one.startswith("LeaseHeld") for one in last), last
        for host in HOSTS:
            told = [web.ask("web", path, host) for path in ("/", "/asset.txt")]
            assert told[0] == told[1]
        assert web.redeploy("web").outcome in ("done", "nothing_to_do")
        require_serving(web, f"ours {databases}")


class TestAway:
    """A host that cannot be asked is found before anything is changed."""

    def test_an_unreachable_host_is_refused_before_anything_is_changed(self, web: Shop) -> None:
        away = web.lab.hosts[2].name
        before = staged(web)
        web.version("web", "away")
        web.lab.power_off(away)
        try:
            with pytest.raises(Refused, match=re.escape(away)):
                web.redeploy("web")
        finally:
            web.lab.power_on(away)
            web.lab.wait_for_ssh(away)
        assert staged(web) == before
        assert web.operations("web")[0].outcome == "refused"
        assert web.redeploy("web").outcome == "done"
        require_serving(web, "away")

    def test_an_unknown_host_key_is_refused_before_anything_is_changed(
        self, web: Shop, config: Path, tmp_path: Path
    ) -> None:
        """The key is never asked for by the way: who wants to trust it says so."""
        before = staged(web)
        web.version("web", "unknown")
        lines = web.lab.known_hosts.read_text().splitlines()
        known = tmp_path / "known_hosts"
        unknown = web.lab.hosts[1]
        kept = [line for line in lines if unknown.address not in line.split()[0].split(",")]
        assert len(kept) < len(lines)
        known.write_text("".join(f"{line}\n" for line in kept))
        config.write_text(config.read_text().replace(str(web.lab.known_hosts), str(known)))
        with pytest.raises(Refused, match=re.escape(unknown.name)) as raised:
            web.redeploy("web")
        assert "key" in str(raised.value)
        assert raised.value.next_step
        assert staged(web) == before


def test_a_host_that_dies_after_the_first_one_stops_it_there(web: Shop) -> None:
    """The first host keeps what it has proved; the message names the one that is away."""
    dies = web.lab.hosts[1].name
    web.version("web", "first host only")

    def cut_power(step: Step) -> None:
        if (step.name, step.host) == ("switch-release", dies):
            web.lab.power_off(dies)

    try:
        with web.opened("web") as redeploy:
            before_steps(redeploy, cut_power)
            with pytest.raises(QuoracyError) as raised:
                redeploy.run(redeploy.plan(), ASKED)
    finally:
        web.lab.power_on(dies)
        web.lab.wait_for_ssh(dies)
    assert dies in str(raised.value)
    assert raised.value.next_step
    require_serving(web, "first host only", hosts=(1,))
    require_serving(web, "away", hosts=(3,))
    assert web.redeploy("web").outcome == "done"
    require_serving(web, "first host only")
