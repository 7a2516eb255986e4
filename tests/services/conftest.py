"""Fixtures of the service tests: one shop on the session's practice hosts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.lab import Lab
from tests.services.shop import Shop


@pytest.fixture(scope="module")
def shop(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A project of its own for each module; nothing of it is left on the hosts."""
    made = Shop(lab, tmp_path_factory.mktemp("shop"))
    made.raze()  # a session that was cut off may have left something behind
    yield made
    made.raze()
