"""What all hosts of a service say, those that do not answer included."""

from __future__ import annotations

from dataclasses import dataclass

from quoracy.hosts.machine import Answers
from quoracy.services.facts import ServiceHostFacts


@dataclass(frozen=True, slots=True)
class ServiceFacts(Answers[ServiceHostFacts]):
    """Answers by host, in the order of the spec."""
