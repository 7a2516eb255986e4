"""One server, one runner and one cluster for all end-to-end tests."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from lab.lab import Lab
from tests.end_to_end.prefect_site import PrefectSite
from tests.scenarios.scenario_site import Site

QUICK = {"heartbeat_interval_ms": 50, "election_timeout_ms": 500}


@pytest.fixture(scope="module")
def up(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectSite]:
    """A cluster of three that was created through the runner; all of it costs processor time while it is up."""
    hosts = tuple(f"{lab.name}-{number}" for number in (1, 2, 3))
    ports = {"client": 22379, "peer": 22380}
    settings = {"ports": ports, "etcd": QUICK}
    site = Site(lab, tmp_path_factory.mktemp("flows"), "flows", hosts, settings=settings)
    site.raze()  # a session that was cut off may have left something behind
    site.apply()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = PrefectSite(site, port)
    try:
        controller.start_server()
        controller.start_runner()
        ended = controller.ended(controller.start("etcd-create", cluster="flows"))
        assert ended["state_name"] == "Done", ended["state"]
        yield controller
    finally:
        controller.down()
        site.raze()
