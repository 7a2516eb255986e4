"""A mirror on loopback that has one release."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.releases.release_server import Mirror, release, serving


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with serving() as made:
        made.publish(release())
        yield made
