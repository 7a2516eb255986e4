"""Fixtures of the whole session: the practice hosts."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator

import pytest

from quoracy.lab import places
from quoracy.lab.lab import Lab
from quoracy.lab.machine import missing

HOSTS = 5
pytest_plugins = ["prefect_harness"]


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """One lab of five hosts, booted once; a test that breaks a host puts it right again.

    A second session on the same machine names its own lab with QUORACY_TEST_LAB: sharing one would
    mean that the first to end takes it away from the other.
    """
    lacks = missing(HOSTS)
    if lacks:
        pytest.skip("no practice hosts on this machine: " + "; ".join(lacks))
    name = os.environ.get("QUORACY_TEST_LAB", "test")
    places.records().mkdir(parents=True, exist_ok=True)
    with (places.records() / f".session-{name}.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pytest.fail(f"another test session uses the lab {name}; set QUORACY_TEST_LAB")
        booted = Lab.up(name, HOSTS)
        yield booted
        booted.down()
