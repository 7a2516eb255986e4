"""Look at a service's hosts without planning anything: for status, releases and logs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from quoracy.errors import UsageError
from quoracy.home import Home
from quoracy.hosts.machine import HostSilent
from quoracy.services.facts import ServiceHostFacts
from quoracy.services.gather import gather_service, service_pool
from quoracy.services.project import LoadedService
from quoracy.services.scripts import service_journal

# No code has this digest: each host sends what it has.
_NO_SOURCE = "0" * 64


def look_at_service(
    loaded: LoadedService, home: Home
) -> Mapping[str, ServiceHostFacts | HostSilent]:
    """What each host says, in the order of the config."""
    with service_pool(loaded.service, home) as pool:
        return gather_service(loaded.service, _NO_SOURCE, pool).hosts


def service_logs(
    loaded: LoadedService, home: Home, host: str, lines: int
) -> Iterator[tuple[str, str]]:
    """Host and line, of the last lines of the unit's journal on one host, or on all.

    Raises:
        UsageError: The service has no such host.
        RemoteError: A host cannot be asked.
    """
    names = [one.name for one in loaded.service.hosts]
    if host and host not in names:
        raise UsageError(
            f"{loaded.service.name} has no host {host}", next_step=f"one of {', '.join(names)}"
        )
    script = service_journal(loaded.service, lines)
    with service_pool(loaded.service, home) as pool:
        answers = pool.all(
            lambda each: each.run(script, what="read the journal").stdout, [host] if host else names
        )
    for name, told in answers.items():
        for line in told.decode("utf-8", "replace").splitlines():
            yield name, line
