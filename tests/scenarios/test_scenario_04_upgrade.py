"""Upgrades under a writer on real hosts: nothing acknowledged is lost, and one member at a time is down."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.scenarios.scenario_site import OLD, Site
from tests.scenarios.shared_change import UpgradeScenario

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def neighbour(make_site) -> Site:
    """Another cluster on two of the hosts and a third one, with other ports; of the old release."""
    site = make_site(
        "near",
        hosts=(2, 3, 4),
        ports={"client": 4379, "peer": 4380},
        etcd={"heartbeat_interval_ms": 50, "election_timeout_ms": 500},
    )
    assert site.deploy().outcome == "done"
    return site


def own_files(site: Site) -> dict[str, dict[str, object]]:
    """The cluster's files without the releases, which clusters share."""
    return {
        host: {path: file for path, file in files.items() if not path.startswith("/opt/etcd")}
        for host, files in site.watch.files().items()
    }


def test_clusters_that_share_hosts_do_not_see_each_other(site: Site, neighbour: Site) -> None:
    neighbour.require_healthy()
    assert neighbour.pinned_id() != site.pinned_id()
    assert site.plan().kind == "nothing"
    assert neighbour.plan().kind == "nothing"


class TestUpgrade(UpgradeScenario):
    """Upgrades, on real hosts, with a writer."""

    @pytest.fixture(autouse=True)
    def neighbour_untouched(self, neighbour: Site) -> Iterator[None]:
        before = own_files(neighbour), neighbour.watch.restarts()
        yield
        assert (own_files(neighbour), neighbour.watch.restarts()) == before
        assert neighbour.versions() == dict.fromkeys(neighbour.hosts, OLD)
