"""Two operations on one cluster, on real hosts."""

from __future__ import annotations

import pytest

from tests.scenarios.shared_faults import TogetherScenario

pytestmark = pytest.mark.lab


class TestTogether(TogetherScenario):
    """Two at once, on real hosts."""
