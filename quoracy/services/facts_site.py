"""What all hosts of a service say, those that do not answer included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from quoracy.hosts.machine import HostSilent
from quoracy.services.facts import ServiceHostFacts


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """Answers by host, in the order of the spec."""

    hosts: Mapping[str, ServiceHostFacts | HostSilent]

    @property
    def heard(self) -> dict[str, ServiceHostFacts]:
        """The hosts that have answered."""
        return {name: one for name, one in self.hosts.items() if isinstance(one, ServiceHostFacts)}

    @property
    def silent(self) -> dict[str, HostSilent]:
        """The hosts that could not be asked."""
        return {name: one for name, one in self.hosts.items() if isinstance(one, HostSilent)}
