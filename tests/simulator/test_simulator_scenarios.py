"""The scenarios in the simulated world, in the order in which the practice hosts see them (tests/scenarios).

Everything is the product's but the hosts: `simulator.site`.
"""

from __future__ import annotations

from tests.scenarios.controller_site import OLD
from tests.scenarios.shared_change import AgainScenario, UpgradeScenario
from tests.scenarios.shared_faults import KilledScenario, RollbackScenario, TogetherScenario
from tests.scenarios.shared_matrix import MatrixScenario
from tests.simulator.site import SimulatedSite


def test_a_create_forms_one_cluster_and_pins_it(site: SimulatedSite) -> None:
    site.require_healthy()
    assert site.versions() == dict.fromkeys(site.hosts, OLD)
    hosts = site.simulated.look().world.hosts
    assert {host.log for host in hosts} == {site.pinned_id()}
    assert all(host.enabled and not host.bootstrap for host in hosts)


class TestAgain(AgainScenario):
    """Again, in the simulated world."""


class TestMatrix(MatrixScenario):
    """The matrix, in the simulated world."""


class TestUpgrade(UpgradeScenario):
    """Upgrades, in the simulated world."""


class TestRollback(RollbackScenario):
    """Putting back, in the simulated world."""

    def require_withdrawn(self, young: SimulatedSite) -> None:
        hosts = young.simulated.look().world.hosts
        assert not any(host.up or host.log or host.enabled for host in hosts)

    def require_formed(self, young: SimulatedSite) -> None:
        assert {host.log for host in young.simulated.look().world.hosts} == {young.pinned_id()}


class TestKilled(KilledScenario):
    """Killed, in the simulated world."""


class TestTogether(TogetherScenario):
    """Two at once, in the simulated world."""
