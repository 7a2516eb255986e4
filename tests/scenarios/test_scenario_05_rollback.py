"""A member that does not come back, on real hosts, is put back to what ran before."""

from __future__ import annotations

import pytest

from tests.scenarios.scenario_site import Site
from tests.scenarios.shared_faults import RollbackScenario

pytestmark = pytest.mark.lab


class TestRollback(RollbackScenario):
    """Putting back, on real hosts."""

    def require_withdrawn(self, young: Site) -> None:
        left = young.everywhere(
            f"systemctl is-active {young.cluster.unit}; ls -d {young.cluster.data_dir}/member.aside-*; "
            f"ls {young.cluster.data_dir}/member 2>&1 | grep -c . || true"
        )
        assert all("inactive" in told or "failed" in told for told in left.values()), left
        assert "member.aside-" in left[young.hosts[0]]

    def require_formed(self, young: Site) -> None:
        assert all(".wal" in told for told in young.everywhere("ls /srv/wal/young/wal").values())
