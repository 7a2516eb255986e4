"""A real sshd on loopback with keys and configuration of its own."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from quoracy.hosts.ssh import SshHost
from quoracy.hosts.trust import fetch_host_key, trust
from tests.hosts.loopback_sshd import (
    SSHD,
    Relay,
    Sshd,
    free_port,
    wait_until_listening,
    write_config,
)


@pytest.fixture
def start_relay() -> Iterator[Callable[..., Relay]]:
    with ExitStack() as relays:

        def start(port: int, *, hang_up_on: int = 0) -> Relay:
            relay = Relay(port, hang_up_on=hang_up_on)
            relays.callback(relay.close)
            return relay

        yield start


@pytest.fixture(scope="session")
def start_sshd() -> Iterator[Callable[..., Sshd]]:
    """Start an sshd: `start_sshd("AllowTcpForwarding no", wrapper=("unshare", "-m"))`."""
    if os.geteuid() != 0 or not Path(SSHD).exists():
        pytest.skip("needs root and /usr/sbin/sshd (Debian: openssh-server)")
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with ExitStack() as cleanup:

        def start(*settings: str, wrapper: tuple[str, ...] = ()) -> Sshd:
            # Below /tmp itself: sshd reads authorized_keys as the login, which pytest's folders shut out.
            directory = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="sshd-")))
            directory.chmod(0o755)
            port, log = free_port(), directory / "log"
            config = write_config(directory, port, *settings)
            with log.open("wb") as output:
                process = subprocess.Popen(
                    (*wrapper, SSHD, "-D", "-e", "-f", str(config)),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                )
            cleanup.callback(process.wait, 10)
            cleanup.callback(process.terminate)
            wait_until_listening(process, port, log)
            known_hosts = directory / "known_hosts"
            trust(known_hosts, "127.0.0.1", port, fetch_host_key("127.0.0.1", port))
            return Sshd(port, directory / "login_key", known_hosts, process, log)

        yield start


@pytest.fixture(scope="session")
def sshd(start_sshd: Callable[..., Sshd]) -> Sshd:
    return start_sshd()


@pytest.fixture(scope="session")
def second_sshd(start_sshd: Callable[..., Sshd]) -> Sshd:
    return start_sshd()


@pytest.fixture
def host(sshd: Sshd) -> Iterator[SshHost]:
    host = SshHost(sshd.target())
    yield host
    host.close()
