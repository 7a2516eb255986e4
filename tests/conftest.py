"""Fixtures of the whole session: the practice hosts."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Iterator

import pytest

from lab import places
from lab.lab import Lab
from lab.machine import missing
from tests.services.sample import EVERY_CASE, SEED

HOSTS = 5
pytest_plugins = ["tests.prefect_harness"]

# A shell starts what runs in the background with SIGINT ignored, and what the tests start would inherit that:
# those that press Ctrl-C would wait for nothing.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str:
    """What was chosen of the cases that are sampled, so that a log tells how to have them again."""
    return "every case (QUORACY_EVERY_CASE)" if EVERY_CASE else f"QUORACY_FAULT_SEED={SEED}"


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
